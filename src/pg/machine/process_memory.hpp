/*
 * process_memory.hpp
 *
 * Real memory of other processes of this server, as Linux tells their owner
 * in /proc. Where it does not, the answer is 0. No allocation, nothing raised.
 */
#pragma once

#include <sys/types.h>

#include <cstdint>

namespace wlm {

/* Anonymous memory of a process in kB, 5 to 20 us: resident pages without those of files and shared memory. */
int64_t AnonymousKb(int pid) noexcept;

inline constexpr int kMaxSegments = 256;

/* Files that back PostgreSQL's dynamic shared memory (posix or mmap), each once. */
struct SharedSegments {
	int count;
	struct {
		dev_t device;
		ino_t inode;
		int64_t kb;             /* that have pages */
	} segments[kMaxSegments];

	bool Contains(dev_t device, ino_t inode) const noexcept;
	int64_t TotalKb() const noexcept;
};

/* Adds those that the process maps and that `others` does not have; reads the list of its mappings, up to 1 ms. */
void AddSharedSegments(int pid, const SharedSegments *others, SharedSegments *found) noexcept;

}  // namespace wlm
