/*
 * ring.cpp
 *
 * See ring.hpp for the protocol.
 */
#include "pg/observe/ring.hpp"

#include <algorithm>
#include <cstring>

namespace wlm {

namespace {

constexpr uint64_t Padded(uint64_t bytes) noexcept { return (bytes + 7) & ~uint64_t{7}; }

std::byte *Buffer(Ring *self) noexcept { return reinterpret_cast<std::byte *>(self + 1); }

void CopyIn(Ring *self, uint64_t position, const void *from, uint64_t bytes) noexcept
{
	const uint64_t start = position % self->capacity;
	const uint64_t first = std::min(bytes, self->capacity - start);
	std::memcpy(Buffer(self) + start, from, first);
	std::memcpy(Buffer(self), static_cast<const std::byte *>(from) + first, bytes - first);
}

void CopyOut(Ring *self, uint64_t position, void *to, uint64_t bytes) noexcept
{
	const uint64_t start = position % self->capacity;
	const uint64_t first = std::min(bytes, self->capacity - start);
	std::memcpy(to, Buffer(self) + start, first);
	std::memcpy(static_cast<std::byte *>(to) + first, Buffer(self), bytes - first);
}

}  // namespace

Ring *Ring::Init(std::span<std::byte> memory) noexcept
{
	if (memory.size() < sizeof(Ring) + 1024)
		return nullptr;
	Ring *self = reinterpret_cast<Ring *>(memory.data());
	std::memset(static_cast<void *>(self), 0, sizeof *self);
	self->capacity = (memory.size() - sizeof(Ring)) & ~uint64_t{7};
	return self;
}

bool Ring::Put(RecordKind kind, const void *payload, size_t bytes) noexcept
{
	const RecordHeader header{static_cast<uint32_t>(bytes), kind};
	const uint64_t total = sizeof header + Padded(bytes);

	if (total > capacity)
		return false;
	for (int reader = 0; reader < static_cast<int>(Reader::kNumReaders); reader++) {
		while (head + total - tail[reader] > capacity) {
			RecordHeader oldest;
			CopyOut(this, tail[reader], &oldest, sizeof oldest);
			tail[reader] += sizeof oldest + Padded(oldest.bytes);
			lost[reader]++;
		}
	}
	CopyIn(this, head, &header, sizeof header);
	CopyIn(this, head + sizeof header, payload, bytes);
	head += total;
	return true;
}

bool Ring::Take(Reader reader, RecordHeader *header, void *buffer) noexcept
{
	uint64_t &position = tail[static_cast<int>(reader)];

	if (position == head)
		return false;
	CopyOut(this, position, header, sizeof *header);
	CopyOut(this, position + sizeof *header, buffer, header->bytes);
	position += sizeof *header + Padded(header->bytes);
	return true;
}

uint64_t Ring::Pending(Reader reader) const noexcept { return head - tail[static_cast<int>(reader)]; }

void Ring::Discard(Reader reader) noexcept { tail[static_cast<int>(reader)] = head; }

}  // namespace wlm
