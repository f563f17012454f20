/*
 * process_memory.cpp
 *
 * A parallel hash join's memory is in dynamic shared memory, so anonymous memory alone says 3 MB
 * where the serial join says 86 (HAZARDS G19). A segment's size says little: blocks of its file
 * are the pages that were touched. Preallocated segments (min_dynamic_shared_memory) and System V ones
 * have no file and are not seen.
 */
#include "pg/machine/process_memory.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "pg/machine/small_files.hpp"

namespace wlm {

namespace {

void AddFile(const char *path, const SharedSegments *others, SharedSegments *found) noexcept
{
	struct stat file;

	if (found->count >= kMaxSegments || stat(path, &file) != 0 || found->Contains(file.st_dev, file.st_ino) ||
	    (others != nullptr && others->Contains(file.st_dev, file.st_ino)))
		return;
	auto &segment = found->segments[found->count++];
	segment.device = file.st_dev;
	segment.inode = file.st_ino;
	segment.kb = static_cast<int64_t>(file.st_blocks) * 512 / 1024;
}

/* A line of maps: addresses, permissions, offset, device, inode, path. A file in pg_dynshmem is found by its absolute path. */
void AddLine(const char *line, const SharedSegments *others, SharedSegments *found) noexcept
{
	const char *path = std::strchr(line, '/');

	if (path != nullptr && (std::strncmp(path, "/dev/shm/PostgreSQL.", 20) == 0 || std::strstr(path, "/pg_dynshmem/mmap.") != nullptr))
		AddFile(path, others, found);
}

}  // namespace

bool SharedSegments::Contains(dev_t device, ino_t inode) const noexcept
{
	for (int i = 0; i < count; i++)
		if (segments[i].inode == inode && segments[i].device == device)
			return true;
	return false;
}

int64_t SharedSegments::TotalKb() const noexcept
{
	int64_t total = 0;

	for (int i = 0; i < count; i++)
		total += segments[i].kb;
	return total;
}

int64_t AnonymousKb(int pid) noexcept
{
	static const int64_t page_kb = sysconf(_SC_PAGESIZE) / 1024;
	char path[64], text[128];
	long long size, resident, shared_pages;

	std::snprintf(path, sizeof path, "/proc/%d/statm", pid);
	if (ReadSmallFile(path, text, sizeof text) <= 0 ||
	    std::sscanf(text, "%lld %lld %lld", &size, &resident, &shared_pages) != 3 || resident < shared_pages)
		return 0;
	return static_cast<int64_t>(resident - shared_pages) * page_kb;
}

void AddSharedSegments(int pid, const SharedSegments *others, SharedSegments *found) noexcept
{
	char path[64], text[8192];
	size_t length = 0;

	std::snprintf(path, sizeof path, "/proc/%d/maps", pid);
	const int file = open(path, O_RDONLY | O_CLOEXEC);
	if (file < 0)
		return;
	for (;;) {
		const ssize_t bytes = read(file, text + length, sizeof text - 1 - length);
		if (bytes < 0 && errno == EINTR)
			continue;
		if (bytes <= 0)
			break;
		length += static_cast<size_t>(bytes);
		text[length] = '\0';
		char *line = text;
		for (char *end; (end = std::strchr(line, '\n')) != nullptr; line = end + 1) {
			*end = '\0';
			AddLine(line, others, found);
		}
		length -= static_cast<size_t>(line - text);
		if (length == sizeof text - 1)
			length = 0; /* no path is as long */
		std::memmove(text, line, length);
	}
	close(file);
}

}  // namespace wlm
