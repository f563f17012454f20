/*
 * read_trace.hpp
 *
 * A trace as CSV with a header line, columns in any order:
 *
 *     arrival_ms, duration_ms     required
 *     duration_with_queue_ms      what the recording system took, waiting included
 *     memory_kb                   needed while it runs
 *     predicted_ms                where the trace has none see predict_trace.hpp
 *     predicted_upper_ms          80 % quantile of the same
 *     predicted_kb                to be reserved; memory_kb if there is none
 *     priority                    lowest, low, normal, high, highest or critical
 *     queue                       a name
 *     template, stream            any text: what makes queries alike, and who sends them
 *     slots                       at least 1
 *
 * Other columns are passed over; an empty field is as if its column were not there. Fields may be
 * quoted as CSV has it. Lines in any order: the rows are sorted by arrival.
 * No allocation: names point into the text.
 */
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "core/simulate/simulate.hpp"

namespace wlm {

struct RecordedQuery {
	double arrival_ms;
	double duration_ms;
	double with_queue_ms;       /* negative = unknown */
	double predicted_ms;        /* 0 = unknown */
	double predicted_upper_ms;  /* the same */
	int64_t memory_kb;
	int64_t predicted_kb;
	TraceKeys keys;
	std::string_view queue;     /* empty = none; quotes within it are still doubled */
	Priority priority;          /* normal if none is given */
	bool has_priority;
	int32_t slots;
	int64_t line;               /* of the file, from 1 */
};

struct TraceError {
	int64_t line;               /* 0 = of the whole */
	char message[128];
};

/* No fewer than the rows of this text: to size `rows` of ReadTrace(). */
size_t CountTraceRows(std::string_view text) noexcept;

/* The number of rows, or -1 with what is wrong and where. */
int64_t ReadTrace(std::string_view text, std::span<RecordedQuery> rows, TraceError *error) noexcept;

/* What it waited, or -1. */
double RecordedQueueMs(const RecordedQuery &row) noexcept;

/* A query to simulate; the caller knows the queue's index. */
TraceQuery QueryFromRecorded(const RecordedQuery &row, int32_t queue) noexcept;

}  // namespace wlm
