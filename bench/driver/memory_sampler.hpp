// A thread that looks at the server's memory ten times a second: of all backends, and of the control group where there is one.
#pragma once

#include <atomic>
#include <mutex>
#include <string>
#include <thread>

#include "processes.hpp"

namespace wlm::bench {

class MemorySampler {
  public:
	// All in bytes, anonymous and dynamic shared memory together. The control group's leaves page cache and shared buffers out
	// and counts shared pages once; 0 without a group.
	struct Reading {
		double now = 0.0;
		double first = 0.0;  // when sampling began: what the first connections take while idle
		double peak = 0.0;
		double mean = 0.0;
		double cgroup_now = 0.0;
		double cgroup_peak = 0.0;
	};

	// `cgroup` is the group's folder, or empty.
	MemorySampler(pid_t postmaster, std::string cgroup);
	~MemorySampler();
	MemorySampler(const MemorySampler&) = delete;
	MemorySampler& operator=(const MemorySampler&) = delete;

	Reading Read() const;

  private:
	ServerProcesses processes_;
	std::string cgroup_;
	mutable std::mutex mutex_;  // guards reading_ and samples_
	Reading reading_;
	long samples_ = 0;
	std::atomic<bool> stop_ = false;
	std::thread thread_;

	void Sample();
	double CgroupAnonymous() const;
};

}  // namespace wlm::bench
