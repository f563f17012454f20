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

	// Bytes: anonymous memory of all children (RssAnon) plus dynamic shared memory (parallel hash joins), which RssAnon does not
	// show. Shared buffers are not counted. Pages inherited from the postmaster are counted once per child.
	double BackendMemory();

	// Seconds of user and system time of one process.
	static double CpuOf(pid_t pid);

	// Seconds of all children that have ended: parallel workers, among others.
	double CpuOfEndedChildren() const;

  private:
	pid_t postmaster_;
	// Whether a segment in /dev/shm belongs to this server, by inode: other servers may be running beside it.
	std::map<ino_t, bool> segments_;

	double DynamicSharedMemory(const std::vector<pid_t>& children);
};

}  // namespace wlm::bench
