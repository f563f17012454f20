// See memory_sampler.hpp.
#include "memory_sampler.hpp"

#include <algorithm>
#include <chrono>
#include <fstream>

namespace wlm::bench {

MemorySampler::MemorySampler(pid_t postmaster, std::string cgroup) : processes_(postmaster), cgroup_(std::move(cgroup)) {
	Sample();
	thread_ = std::thread([this] {
		while (!stop_) {
			std::this_thread::sleep_for(std::chrono::milliseconds(100));
			Sample();
		}
	});
}

MemorySampler::~MemorySampler() {
	stop_ = true;
	thread_.join();
}

void MemorySampler::Sample() {
	const ServerProcesses::Memory memory = processes_.BackendMemory();
	const double bytes = memory.anonymous + memory.dynamic_shared;
	const double group = cgroup_.empty() ? 0.0 : CgroupAnonymous() + memory.dynamic_shared;
	const std::lock_guard lock(mutex_);
	reading_.now = bytes;
	if (samples_ == 0)
		reading_.first = bytes;
	++samples_;
	reading_.mean += (bytes - reading_.mean) / static_cast<double>(samples_);
	reading_.peak = std::max(reading_.peak, bytes);
	reading_.cgroup_now = group;
	reading_.cgroup_peak = std::max(reading_.cgroup_peak, group);
}

// memory.stat says "anon" in version 2 and "total_rss" in version 1.
double MemorySampler::CgroupAnonymous() const {
	std::ifstream stat(cgroup_ + "/memory.stat");
	std::string name;
	for (double value = 0.0; stat >> name >> value;) {
		if (name == "anon" || name == "total_rss")
			return value;
	}
	return 0.0;
}

MemorySampler::Reading MemorySampler::Read() const {
	const std::lock_guard lock(mutex_);
	return reading_;
}

}  // namespace wlm::bench
