/*
 * small_files.cpp
 *
 * A line of /proc/self/cgroup is id:controllers:path; version 2 has id 0 and no controllers.
 */
#include "pg/machine/small_files.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace wlm {

int ReadSmallFile(const char *path, char *buffer, size_t size) noexcept
{
	const int file = open(path, O_RDONLY | O_CLOEXEC);
	size_t length = 0;

	if (file < 0)
		return -1;
	while (length < size - 1) {
		const ssize_t bytes = read(file, buffer + length, size - 1 - length);
		if (bytes < 0 && errno == EINTR)
			continue;
		if (bytes <= 0)
			break;
		length += static_cast<size_t>(bytes);
	}
	close(file);
	buffer[length] = '\0';
	return static_cast<int>(length);
}

int64_t NumberOfLine(const char *text, const char *key) noexcept
{
	const size_t length = std::strlen(key);

	for (const char *line = text; line != nullptr && *line != '\0';) {
		if (std::strncmp(line, key, length) == 0 && (line[length] == ' ' || line[length] == ':'))
			return std::strtoll(line + length + 1, nullptr, 10);
		line = std::strchr(line, '\n');
		if (line != nullptr)
			line++;
	}
	return -1;
}

OwnGroups::OwnGroups(const char *root) noexcept
{
	char path[512];

	std::snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
	if (ReadSmallFile(path, text_, sizeof text_) <= 0)
		text_[0] = '\0';
}

bool OwnGroups::Next(const char **controllers, const char **path) noexcept
{
	while (*line_ != '\0') {
		char *const first = std::strchr(line_, ':');
		char *const end = line_ + std::strcspn(line_, "\n");

		line_ = *end == '\0' ? end : end + 1;
		*end = '\0';
		char *const second = first != nullptr && first < end ? std::strchr(first + 1, ':') : nullptr;
		if (second == nullptr)
			continue;
		*second = '\0';
		*controllers = first + 1;
		*path = second + 1;
		return true;
	}
	return false;
}

}  // namespace wlm
