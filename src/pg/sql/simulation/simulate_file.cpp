/*
 * simulate_file.cpp
 *
 * A trace in a CSV file on the server: core/simulate reads it; here are the file,
 * its queues and memory. Whoever may read any file of the server may name one.
 */
#include "pg/sql/simulation/simulation.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <string_view>

extern "C" {
#include "catalog/pg_authid.h"
#include "storage/fd.h"
#include "utils/acl.h"
#include "utils/memutils.h"
}

#include "core/simulate/read_trace.hpp"

namespace wlm {

namespace {

constexpr off_t kMaxFileBytes = 1 << 30;
constexpr size_t kChunkBytes = 1 << 20;

template <typename Element>
Element *Allocate(size_t count)
{
	return static_cast<Element *>(MemoryContextAllocHuge(CurrentMemoryContext, sizeof(Element) * (count + 1)));
}

std::string_view ReadText(const char *path)
{
	struct stat status;
	FILE *stream = AllocateFile(path, PG_BINARY_R);

	if (stream == nullptr)
		ereport(ERROR, (errcode_for_file_access(), errmsg("could not open trace \"%s\": %m", path),
		                errhint("The server reads the file: give a path on its machine that it may read.")));
	if (fstat(fileno(stream), &status) != 0)
		ereport(ERROR, (errcode_for_file_access(), errmsg("could not read trace \"%s\": %m", path)));
	if (!S_ISREG(status.st_mode))
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE), errmsg("trace \"%s\" is not a file", path)));
	if (status.st_size > kMaxFileBytes)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
		                errmsg("trace \"%s\" is too large", path),
		                errdetail("It has more than %lld MB.", static_cast<long long>(kMaxFileBytes >> 20)),
		                errhint("Cut the file into parts.")));

	const auto size = static_cast<size_t>(status.st_size);
	char *text = Allocate<char>(size);
	size_t length = 0;
	/* In chunks, so that a slow disk can be interrupted. Who shortens it meanwhile gets what there is. */
	while (length < size) {
		CHECK_FOR_INTERRUPTS();
		const size_t got = fread(text + length, 1, std::min(kChunkBytes, size - length), stream);
		length += got;
		if (got == 0)
			break;
	}
	if (ferror(stream))
		ereport(ERROR, (errcode_for_file_access(), errmsg("could not read trace \"%s\": %m", path)));
	FreeFile(stream);
	return {text, length};
}

/* -1 if it does not exist. */
int QueueNamed(const Workload &workload, std::string_view name)
{
	for (int i = 0; i < workload.num_queues; i++) {
		if (workload.limits[i].in_use && name == workload.limits[i].name)
			return i;
	}
	return -1;
}

[[noreturn]] void RaiseBadTrace(const char *path, const TraceError &error)
{
	ereport(ERROR, (errcode(ERRCODE_BAD_COPY_FILE_FORMAT),
	                errmsg("trace \"%s\" cannot be read", path),
	                error.line > 0 ? errdetail("Line %lld: %s.", static_cast<long long>(error.line), error.message)
	                               : errdetail("All of it: %s.", error.message),
	                errhint("The first line names the columns: arrival_ms and duration_ms, and any of duration_with_queue_ms, memory_kb, "
	                        "predicted_ms, priority, queue, template, stream and slots.")));
	pg_unreachable();
}

}  // namespace

void ReadTraceFile(const Workload &workload, const char *path, Trace *trace)
{
	if (!has_privs_of_role(GetUserId(), ROLE_PG_READ_SERVER_FILES))
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
		                errmsg("permission denied to read a trace"),
		                errdetail("Only members of pg_read_server_files may have the server read a file."),
		                errhint("Leave trace out to simulate what is in wlm.history.")));
	*trace = Trace{};

	const std::string_view text = ReadText(path);
	const size_t most = CountTraceRows(text);
	if (most > static_cast<size_t>(kMaxTraceQueries))
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
		                errmsg("too many queries in trace \"%s\"", path),
		                errdetail("At most " INT64_FORMAT " can be simulated.", kMaxTraceQueries),
		                errhint("Cut the file into parts.")));
	auto *rows = Allocate<RecordedQuery>(most);
	TraceError error;
	trace->num_queries = ReadTrace(text, {rows, most}, &error);
	if (trace->num_queries < 0)
		RaiseBadTrace(path, error);

	const auto count = static_cast<size_t>(trace->num_queries);
	trace->queries = Allocate<TraceQuery>(count);
	trace->execution_ms = Allocate<double>(count);
	for (size_t i = 0; i < count; i++) {
		const int queue = rows[i].queue.empty() ? 0 : QueueNamed(workload, rows[i].queue);
		trace->num_unknown_queues += queue < 0;
		trace->queries[i] = QueryFromRecorded(rows[i], std::max(queue, 0));
		if (!rows[i].has_priority)
			trace->queries[i].priority = workload.limits[trace->queries[i].queue].priority;
		trace->queries[i].predicted_upper_ms = std::max(trace->queries[i].predicted_upper_ms, trace->queries[i].predicted_ms);
		trace->execution_ms[i] = rows[i].duration_ms;
	}
	pfree(rows);
	BeginAtZero(trace);
}

}  // namespace wlm
