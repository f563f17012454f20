/*
 * mutate.hpp
 *
 * Deterministic mutations of bytes that were valid: flips, overwritten numbers,
 * truncation, extension, splices of other places and other inputs. Whoever calls
 * repairs the checksum afterwards, or nothing behind it would be reached.
 */
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <random>
#include <vector>

namespace wlm::test {

class Mutator {
  public:
	explicit Mutator(uint64_t seed) : random_(seed) {}

	/* One to eight mutations of `from`; the first `kept` bytes stay. */
	std::vector<std::byte> Mutate(const std::vector<std::byte> &from, const std::vector<std::byte> &other, size_t kept)
	{
		std::vector<std::byte> bytes = from;
		for (uint64_t i = Below(3) == 0 ? 1 + Below(8) : 1; i > 0; i--)
			MutateOnce(&bytes, other, kept);
		return bytes;
	}
	uint64_t Below(uint64_t limit) { return limit == 0 ? 0 : random_() % limit; }

  private:
	/* Half of all places are near the beginning, where counts and offsets are. */
	size_t Place(size_t size, size_t kept)
	{
		const size_t span = size - kept;
		return kept + Below(Below(2) == 0 ? std::min<size_t>(span, 128) : span);
	}

	void MutateOnce(std::vector<std::byte> *bytes, const std::vector<std::byte> &other, size_t kept)
	{
		if (bytes->size() <= kept) {
			bytes->resize(kept + 1 + Below(64));
			return;
		}
		const size_t at = Place(bytes->size(), kept);
		const size_t left = bytes->size() - at;
		switch (Below(9)) {
			case 0: (*bytes)[at] ^= static_cast<std::byte>(1u << Below(8)); break;
			case 1: (*bytes)[at] = static_cast<std::byte>(random_()); break;
			case 2:
			case 3: PutNumber(bytes, at & ~size_t{3}); break;
			case 4: bytes->resize(at); break;
			case 5: bytes->resize(bytes->size() + 1 + Below(200), static_cast<std::byte>(random_())); break;
			case 6: { /* a stretch from elsewhere */
				const size_t from = Place(bytes->size(), kept);
				const size_t length = std::min({left, bytes->size() - from, size_t{1} + Below(256)});
				std::memmove(bytes->data() + at, bytes->data() + from, length);
				break;
			}
			case 7: { /* a stretch of the other input, at the same place or elsewhere */
				const size_t from = Below(2) == 0 ? at : Below(other.size());
				if (from < other.size())
					std::memcpy(bytes->data() + at, other.data() + from, std::min({left, other.size() - from, size_t{1} + Below(256)}));
				break;
			}
			default: /* cut a stretch out: everything behind it moves */
				bytes->erase(bytes->begin() + static_cast<ptrdiff_t>(at),
				             bytes->begin() + static_cast<ptrdiff_t>(at + std::min<size_t>(left, 1 + Below(64))));
		}
	}

	/* What counts, offsets and floats do not expect. */
	void PutNumber(std::vector<std::byte> *bytes, size_t at)
	{
		constexpr uint32_t kFloats[] = {
			0x7fc00000u /* NaN */, 0x7f800000u /* infinite */, 0xff800000u, 0x7f7fffffu /* largest */,
			0x00000001u /* smallest */, 0x80000000u /* -0 */, 0xbf800000u /* -1 */};
		uint32_t number;
		switch (Below(4)) {
			case 0: number = kFloats[Below(std::size(kFloats))]; break;
			case 1: number = static_cast<uint32_t>(Below(1024)); break;
			case 2: number = UINT32_MAX - static_cast<uint32_t>(Below(4)); break;
			default:
				if (at + sizeof(number) > bytes->size())
					return;
				std::memcpy(&number, bytes->data() + at, sizeof(number));
				number += static_cast<uint32_t>(Below(5)) - 2;
		}
		const size_t length = std::min(sizeof(number), bytes->size() - at);
		std::memcpy(bytes->data() + at, &number, length);
	}

	std::mt19937_64 random_;
};

}  // namespace wlm::test
