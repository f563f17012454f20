// The server's processes seen from outside, through /proc: their CPU time and the memory that belongs to them alone.
#pragma once

#include <sys/types.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace wlm::bench {

class ServerProcesses {
  public:
	explicit ServerProcesses(pid_t postmaster) : postmaster_(postmaster) {}

	std::vector<pid_t> Children() const;

	struct Memory {
		double anonymous = 0.0;       // bytes, RssAnon of all children; pages inherited from the postmaster count once per child
		double dynamic_shared = 0.0;  // bytes, parallel hash joins among others; RssAnon does not show them
	};

	// Shared buffers are not counted.
	Memory BackendMemory();

	// Seconds of user and system time of one process.
	static double CpuOf(pid_t pid);

	// Seconds of all children that have ended: parallel workers, among others.
	double CpuOfEndedChildren() const;

	// Seconds of the whole server so far.
	double CpuOfServer() const;

	// Seconds that all processors together were busy since the machine started, also with what hypervisors took from us.
	static double CpuOfMachine();

  private:
	pid_t postmaster_;
	// Whether a segment in /dev/shm belongs to this server, by inode: other servers may be running beside it.
	std::map<ino_t, bool> segments_;

	double DynamicSharedMemory(const std::vector<pid_t>& children);
};

}  // namespace wlm::bench
