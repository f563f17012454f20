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
	// All in bytes; the control group's is anonymous memory, page cache left out, 0 without a group.
	struct Reading {
		double now = 0.0;
		double first = 0.0;  // when sampling began: what idle connections take
		double peak = 0.0;
		double mean = 0.0;
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
