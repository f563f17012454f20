/*
 * samples.hpp
 *
 * Encoded samples in memory, decoded one at a time, for the trainers. Unlike
 * core, src/trainer allocates and throws: it is a program of its own.
 */
#pragma once

#include <cstddef>
#include <cstdint>
#include <istream>
#include <span>
#include <string>
#include <vector>

#include "core/learn/sample.hpp"

namespace wlm::trainer {

class Samples {
  public:
	/* False, and nothing added, if the sample does not decode. */
	bool Add(std::span<const std::byte> encoded);
	void Add(const Sample &sample);
	void Reserve(size_t samples, size_t bytes); /* so that Add() does not take twice the memory while it grows */

	size_t size() const { return offsets_.size(); }
	size_t bytes() const { return bytes_.size(); }
	void Get(size_t index, Sample *sample) const;

  private:
	std::vector<std::byte> bytes_;
	std::vector<size_t> offsets_;
};

/*
 * What the time of something that `processes` share has to be multiplied with where fewer workers were launched than
 * planned, at least 1: costs are those of one process among all that were planned.
 */
float MissingWorkers(const Sample &sample, float processes);

/*
 * Binary samples, or lines of "\x" and hexadecimal digits as psql prints bytea, streamed through a SamplePool of
 * `memory` bytes. Damaged records are skipped and counted in *skipped. Throws std::runtime_error if nothing is left.
 */
Samples ReadSamples(std::istream &input, size_t memory, int64_t *skipped);

}  // namespace wlm::trainer
