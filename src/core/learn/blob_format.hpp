/*
 * blob_format.hpp
 *
 * What the blobs of all models have in common: header, checksum, fields one
 * after the other. The format stands at the head of model_blob.cpp.
 */
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>

#include "core/hash.hpp"
#include "core/learn/model_blob.hpp"

namespace wlm {

inline constexpr size_t kBlobHeaderBytes = 32;

/* Appends fields; the caller has made sure that they fit. */
class BlobWriter {
  public:
	explicit BlobWriter(std::byte *at) noexcept : at_(at) {}

	template <class T>
	void Put(const T &value) noexcept
	{
		static_assert(std::is_trivially_copyable_v<T>);
		std::memcpy(at_, &value, sizeof(T));
		at_ += sizeof(T);
	}

  private:
	std::byte *at_;
};

/* Takes fields off the front; once there is too little left, every further field is zero and ok() false. */
class BlobReader {
  public:
	explicit BlobReader(std::span<const std::byte> bytes) noexcept : bytes_(bytes) {}

	template <class T>
	void Get(T *value) noexcept
	{
		static_assert(std::is_trivially_copyable_v<T>);
		if (bytes_.size() < sizeof(T)) {
			ok_ = false;
			*value = T{};
			return;
		}
		std::memcpy(value, bytes_.data(), sizeof(T));
		bytes_ = bytes_.subspan(sizeof(T));
	}
	bool ok() const noexcept { return ok_; }
	bool AtEnd() const noexcept { return ok_ && bytes_.empty(); }

  private:
	std::span<const std::byte> bytes_;
	bool ok_ = true;
};

/* 64 bits of chained SplitMix64 over 8-byte words, the last one filled with zeros. Against damage, not against an adversary. */
inline uint64_t ChainedChecksum(uint64_t sum, std::span<const std::byte> bytes) noexcept
{
	for (size_t i = 0; i < bytes.size(); i += sizeof(uint64_t)) {
		uint64_t word = 0;
		std::memcpy(&word, bytes.data() + i, std::min(sizeof(word), bytes.size() - i));
		sum = Combine(sum, word);
	}
	return sum;
}

/* Header and checksum of a blob whose payload is in place. */
void WriteHeader(std::span<std::byte> blob, ModelId model) noexcept;

/* kOk if it is a whole, undamaged blob of this model; its numbers are still to be checked. */
BlobStatus CheckHeader(std::span<const std::byte> blob, ModelId model) noexcept;

}  // namespace wlm
