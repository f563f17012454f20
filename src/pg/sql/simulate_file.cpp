/*
 * simulate_file.cpp
 *
 * A trace in a CSV file on the server, one query a line, columns by the names in its
 * first line. Durations are what queries take alone. Whoever may
 * read any file of the server may name one.
 */
#include "pg/sql/simulation.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>

extern "C" {
#include "catalog/pg_authid.h"
#include "common/string.h"
#include "lib/stringinfo.h"
#include "storage/fd.h"
#include "utils/acl.h"
#include "utils/memutils.h"
}

#include "core/hash.hpp"
#include "core/simulate/as_recorded.hpp"

namespace wlm {

namespace {

enum Field : int {
	kArrivalMs = 0, kDurationMs, kDurationWithQueueMs, kMemoryKb, kQueue, kPriority, kSlots, kPredictedMs, kPredictedUpperMs,
	kPredictedKb, kTemplate, kNumFields
};

constexpr const char *kFieldNames[kNumFields] = {
	"arrival_ms", "duration_ms", "duration_with_queue_ms", "memory_kb", "queue", "priority", "slots", "predicted_ms",
	"predicted_upper_ms", "predicted_kb", "template"
};

constexpr int kMaxColumns = 64;
constexpr double kMaxTimeMs = 1e12;
constexpr double kMaxMemoryKb = 1e13;

struct TraceFile {
	const Workload *workload;
	const char *path;
	int64 line;
	int column_of[kNumFields];      /* -1 = not there */
	const char *values[kMaxColumns];
	int num_values;
	int64 capacity;
	int64_t *templates;
	double *ended_ms;
};

[[noreturn]] void RaiseBadLine(const TraceFile &file, const char *detail)
{
	ereport(ERROR, (errcode(ERRCODE_BAD_COPY_FILE_FORMAT),
	                errmsg("line %lld of trace \"%s\" is not valid", static_cast<long long>(file.line), file.path),
	                errdetail("%s", detail),
	                errhint("The first line names the columns: arrival_ms and duration_ms, and any of duration_with_queue_ms, memory_kb, "
	                        "queue, priority, slots, predicted_ms, predicted_upper_ms, predicted_kb and template.")));
	pg_unreachable();
}

/* Cuts the line at its commas, in place; "a ""b"" c" is one value. */
void SplitLine(TraceFile *file, char *line)
{
	char *from = line;

	file->num_values = 0;
	for (;;) {
		char *to = from;
		const bool quoted = *from == '"';
		char *value = from;
		char end;

		if (file->num_values == kMaxColumns)
			RaiseBadLine(*file, psprintf("It has more than %d columns.", kMaxColumns));
		if (quoted) {
			from++;
			for (; *from != '\0' && !(*from == '"' && from[1] != '"'); from++) {
				from += *from == '"';
				*to++ = *from;
			}
			if (*from++ != '"' || (*from != ',' && *from != '\0'))
				RaiseBadLine(*file, "A quoted value does not end.");
		} else {
			for (; *from != ',' && *from != '\0'; from++)
				*to++ = *from;
		}
		end = *from++;
		*to = '\0';
		file->values[file->num_values++] = value;
		if (end == '\0')
			return;
	}
}

bool ReadLine(TraceFile *file, FILE *stream, StringInfo line)
{
	while (pg_get_line_buf(stream, line)) {
		file->line++;
		line->len = pg_strip_crlf(line->data);
		if (line->len > 0) {
			SplitLine(file, line->data);
			return true;
		}
	}
	if (ferror(stream))
		ereport(ERROR, (errcode_for_file_access(), errmsg("could not read trace \"%s\": %m", file->path)));
	return false;
}

void ReadHeader(TraceFile *file, FILE *stream, StringInfo line)
{
	if (!ReadLine(file, stream, line)) {
		file->line = 1;
		RaiseBadLine(*file, "The file is empty.");
	}
	for (int field = 0; field < kNumFields; field++) {
		file->column_of[field] = -1;
		for (int i = 0; i < file->num_values; i++) {
			if (pg_strcasecmp(file->values[i], kFieldNames[field]) == 0)
				file->column_of[field] = i;
		}
	}
	if (file->column_of[kArrivalMs] < 0 || file->column_of[kDurationMs] < 0)
		RaiseBadLine(*file, "It does not name the columns arrival_ms and duration_ms.");
}

/* Null if the column is not there, or empty. */
const char *Value(const TraceFile &file, Field field)
{
	const int column = file.column_of[field];

	if (column < 0)
		return nullptr;
	if (column >= file.num_values)
		RaiseBadLine(file, psprintf("It has no column %s.", kFieldNames[field]));
	return file.values[column][0] == '\0' ? nullptr : file.values[column];
}

double Number(const TraceFile &file, Field field, double otherwise, double least, double most)
{
	const char *text = Value(file, field);
	char *end;

	if (text == nullptr)
		return otherwise;
	const double value = strtod(text, &end);
	if (end == text || *end != '\0' || !(value >= least && value <= most))
		RaiseBadLine(file, psprintf("\"%.64s\" is no %s.", text, kFieldNames[field]));
	return value;
}

void ReadQueue(const TraceFile &file, TraceQuery *query, int64 *num_unknown)
{
	const char *queue = Value(file, kQueue);
	const char *priority = Value(file, kPriority);

	query->queue = 0;
	if (queue != nullptr) {
		int i = 0;
		while (i < file.workload->num_queues && !(file.workload->limits[i].in_use && strcmp(file.workload->limits[i].name, queue) == 0))
			i++;
		*num_unknown += i == file.workload->num_queues;
		query->queue = i == file.workload->num_queues ? 0 : i;
	}
	query->priority = file.workload->limits[query->queue].priority;
	if (priority != nullptr && !PriorityFromName(priority, &query->priority))
		RaiseBadLine(file, psprintf("\"%.64s\" is no priority.", priority));
}

void Grow(TraceFile *file, Trace *trace)
{
	const int64 capacity = file->capacity == 0 ? 4096 : file->capacity * 2;
	const auto resize = [file, capacity](auto *&array) {
		const Size size = sizeof(*array) * static_cast<Size>(capacity);
		array = static_cast<std::remove_reference_t<decltype(array)>>(
			file->capacity == 0 ? MemoryContextAllocHuge(CurrentMemoryContext, size) : repalloc_huge(array, size));
	};

	resize(trace->queries);
	resize(trace->execution_ms);
	resize(file->templates);
	resize(file->ended_ms);
	file->capacity = capacity;
}

void ReadQuery(TraceFile *file, Trace *trace)
{
	if (trace->num_queries == kMaxTraceQueries)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
		                errmsg("too many queries in trace \"%s\"", file->path),
		                errdetail("At most " INT64_FORMAT " can be simulated.", kMaxTraceQueries),
		                errhint("Cut the file into parts.")));
	if (trace->num_queries == file->capacity)
		Grow(file, trace);

	const int64 index = trace->num_queries++;
	TraceQuery &query = trace->queries[index];
	query = TraceQuery{};
	query.arrival_ms = Number(*file, kArrivalMs, NAN, -kMaxTimeMs, kMaxTimeMs);
	query.work_ms = Number(*file, kDurationMs, NAN, 0, kMaxTimeMs);
	if (std::isnan(query.arrival_ms) || std::isnan(query.work_ms))
		RaiseBadLine(*file, "arrival_ms and duration_ms must be given.");
	/* Rounded to milliseconds it may be 0, and nothing takes no time. */
	query.work_ms = std::max(query.work_ms, 0.001);
	const double with_queue_ms = Number(*file, kDurationWithQueueMs, -1, 0, kMaxTimeMs);
	query.recorded_queue_ms = with_queue_ms < 0 ? -1 : std::max(with_queue_ms - query.work_ms, 0.0);
	query.memory_kb = static_cast<int64>(Number(*file, kMemoryKb, 0, 0, kMaxMemoryKb));
	query.predicted_ms = Number(*file, kPredictedMs, 0, 0, kMaxTimeMs);
	query.predicted_upper_ms = std::max(Number(*file, kPredictedUpperMs, query.predicted_ms, 0, kMaxTimeMs), query.predicted_ms);
	query.predicted_kb = static_cast<int64>(Number(*file, kPredictedKb, static_cast<double>(query.memory_kb), 0, kMaxMemoryKb));
	query.slots = static_cast<int32>(Number(*file, kSlots, 1, 1, 1000));
	ReadQueue(*file, &query, &trace->num_unknown_queues);

	const char *of_template = Value(*file, kTemplate);
	trace->execution_ms[index] = query.work_ms;
	file->ended_ms[index] = query.arrival_ms + std::max(with_queue_ms, query.work_ms);
	file->templates[index] = of_template == nullptr ? 0 : static_cast<int64_t>(CombineText(0, of_template));
}

void Predict(TraceFile *file, Trace *trace)
{
	const auto count = static_cast<size_t>(trace->num_queries);
	auto *order = static_cast<int64_t *>(MemoryContextAllocHuge(CurrentMemoryContext, sizeof(int64_t) * 2 * count + 8));

	PredictByTemplate({trace->queries, count}, {file->templates, count}, {file->ended_ms, count}, {order, 2 * count});
	pfree(order);
}

void RequireSorted(const TraceFile &file, const Trace &trace)
{
	const int64 last = trace.num_queries - 1;
	if (last > 0 && trace.queries[last].arrival_ms < trace.queries[last - 1].arrival_ms)
		RaiseBadLine(file, "It arrives before the one above it.");
}

}  // namespace

void ReadTraceFile(const Workload &workload, const char *path, Trace *trace)
{
	TraceFile file = {};
	StringInfoData line;
	struct stat status;

	if (!has_privs_of_role(GetUserId(), ROLE_PG_READ_SERVER_FILES))
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
		                errmsg("permission denied to read a trace"),
		                errdetail("Only members of pg_read_server_files may have the server read a file."),
		                errhint("Leave trace out to simulate what is in wlm.history.")));
	*trace = Trace{};
	file.workload = &workload;
	file.path = path;

	FILE *stream = AllocateFile(path, PG_BINARY_R);
	if (stream == nullptr)
		ereport(ERROR, (errcode_for_file_access(), errmsg("could not open trace \"%s\": %m", path),
		                errhint("The server reads the file: give a path on its machine that it may read.")));
	if (fstat(fileno(stream), &status) == 0 && !S_ISREG(status.st_mode))
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE), errmsg("trace \"%s\" is not a file", path)));
	initStringInfo(&line);
	ReadHeader(&file, stream, &line);
	while (ReadLine(&file, stream, &line)) {
		ReadQuery(&file, trace);
		RequireSorted(file, *trace);
		if (trace->num_queries % 4096 == 0)
			CHECK_FOR_INTERRUPTS();
	}
	FreeFile(stream);
	if (trace->num_queries > 0 && file.column_of[kTemplate] >= 0 && file.column_of[kPredictedMs] < 0)
		Predict(&file, trace);
	BeginAtZero(trace);
}

}  // namespace wlm
