/*
 * read_trace.cpp
 *
 * Line by line; every error says which line.
 */
#include "core/simulate/read_trace.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <iterator>

#include "core/decide/workload.hpp"
#include "core/hash.hpp"

namespace wlm {

namespace {

enum Column : int {
	kArrival = 0, kDuration, kWithQueue, kMemory, kPredicted, kPredictedUpper, kPredictedMemory, kPriority, kQueue, kTemplate, kStream,
	kSlots, kNumColumns
};
constexpr std::string_view kColumnNames[] = {
	"arrival_ms", "duration_ms", "duration_with_queue_ms", "memory_kb", "predicted_ms", "predicted_upper_ms", "predicted_kb", "priority",
	"queue", "template", "stream", "slots"};
static_assert(std::size(kColumnNames) == kNumColumns);

constexpr int kMaxFields = 256;
constexpr double kMaxMs = 1e14;         /* 3,000 years: sums keep their precision */
constexpr double kMaxKb = 1e13;
constexpr int kMaxShown = 40;           /* of a wrong field */

__attribute__((format(printf, 3, 4))) void Say(TraceError *error, int64_t line, const char *format, ...) noexcept
{
	va_list arguments;
	va_start(arguments, format);
	error->line = line;
	std::vsnprintf(error->message, sizeof(error->message), format, arguments);
	va_end(arguments);
}

int Shown(std::string_view text) noexcept { return static_cast<int>(std::min<size_t>(text.size(), kMaxShown)); }

/* The next line, without its end; false at the end of the text. */
bool TakeLine(std::string_view *rest, std::string_view *line) noexcept
{
	if (rest->empty())
		return false;
	const size_t end = rest->find('\n');
	*line = rest->substr(0, end);
	rest->remove_prefix(end == std::string_view::npos ? rest->size() : end + 1);
	if (!line->empty() && line->back() == '\r')
		line->remove_suffix(1);
	return true;
}

std::string_view Trim(std::string_view text) noexcept
{
	while (!text.empty() && (text.front() == ' ' || text.front() == '\t'))
		text.remove_prefix(1);
	while (!text.empty() && (text.back() == ' ' || text.back() == '\t'))
		text.remove_suffix(1);
	return text;
}

/* Splits at commas outside of quotes; the number of fields, -1 if there are too many, -2 if a quote does not end on this line. */
int Split(std::string_view line, std::string_view (&fields)[kMaxFields]) noexcept
{
	int count = 0;
	bool quoted = false;
	size_t begin = 0;
	for (size_t i = 0; i <= line.size(); i++) {
		if (i < line.size() && line[i] == '"')
			quoted = !quoted;
		if (i < line.size() && (quoted || line[i] != ','))
			continue;
		if (quoted)
			return -2;
		if (count == kMaxFields)
			return -1;
		std::string_view field = Trim(line.substr(begin, i - begin));
		if (field.size() >= 2 && field.front() == '"' && field.back() == '"')
			field = field.substr(1, field.size() - 2);
		fields[count++] = field;
		begin = i + 1;
	}
	return count;
}

int SplitChecked(std::string_view line, int64_t number, std::string_view (&fields)[kMaxFields], TraceError *error) noexcept
{
	const int count = Split(line, fields);
	if (count == -1)
		Say(error, number, "more than %d fields", kMaxFields);
	else if (count == -2)
		Say(error, number, "a quoted field does not end");
	return count;
}

/* False if it is no finite number in [low, high]. */
bool Parse(std::string_view text, double low, double high, double *value) noexcept
{
	if (!text.empty() && text.front() == '+')
		text.remove_prefix(1);
	const char *const end = text.data() + text.size();
	const auto [stop, status] = std::from_chars(text.data(), end, *value);
	return status == std::errc{} && stop == end && std::isfinite(*value) && *value >= low && *value <= high;
}

uint64_t KeyOf(std::string_view text) noexcept
{
	uint64_t hash = 0xcbf29ce484222325u;
	for (const char c : text)
		hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
	return Mix(hash) | 1;   /* 0 is no key */
}

bool ParsePriority(std::string_view text, Priority *priority) noexcept
{
	char name[16];
	if (text.size() >= sizeof(name))
		return false;
	name[text.copy(name, sizeof(name) - 1)] = '\0';
	return PriorityFromName(name, priority);
}

class Reader {
  public:
	explicit Reader(TraceError *error) noexcept : error_(error) { std::fill(std::begin(field_of_), std::end(field_of_), -1); }

	bool Header(std::string_view line, int64_t number) noexcept
	{
		num_fields_ = SplitChecked(line, number, fields_, error_);
		if (num_fields_ < 0)
			return false;
		for (int i = 0; i < num_fields_; i++) {
			for (int column = 0; column < kNumColumns; column++) {
				if (fields_[i] != kColumnNames[column])
					continue;
				if (field_of_[column] >= 0) {
					Say(error_, number, "column %.*s is there twice", Shown(fields_[i]), fields_[i].data());
					return false;
				}
				field_of_[column] = i;
			}
		}
		for (const Column column : {kArrival, kDuration}) {
			if (field_of_[column] < 0) {
				Say(error_, number, "no column %s in the header", kColumnNames[column].data());
				return false;
			}
		}
		return true;
	}

	bool Row(std::string_view line, int64_t number, RecordedQuery *row) noexcept
	{
		const int count = SplitChecked(line, number, fields_, error_);
		if (count < 0)
			return false;
		if (count != num_fields_) {
			Say(error_, number, "%d fields where the header has %d", count, num_fields_);
			return false;
		}

		double memory = 0, predicted_memory = -1, slots = 1;
		*row = RecordedQuery{};
		row->line = number;
		row->priority = Priority::kNormal;
		row->with_queue_ms = -1;
		for (const Column column : {kArrival, kDuration}) {
			if (Field(column).empty()) {
				Say(error_, number, "%s is empty", kColumnNames[column].data());
				return false;
			}
		}
		if (!Number(kArrival, number, -kMaxMs, kMaxMs, &row->arrival_ms) || !Number(kDuration, number, 0, kMaxMs, &row->duration_ms) ||
			!Number(kWithQueue, number, 0, kMaxMs, &row->with_queue_ms) || !Number(kPredicted, number, 0, kMaxMs, &row->predicted_ms) ||
			!Number(kPredictedUpper, number, 0, kMaxMs, &row->predicted_upper_ms) ||
			!Number(kPredictedMemory, number, 0, kMaxKb, &predicted_memory) || !Number(kMemory, number, 0, kMaxKb, &memory) ||
			!Number(kSlots, number, 1, 65536, &slots))
			return false;
		row->memory_kb = static_cast<int64_t>(memory);
		row->predicted_kb = static_cast<int64_t>(predicted_memory < 0 ? memory : predicted_memory);
		row->slots = static_cast<int32_t>(slots);
		const std::string_view priority = Field(kPriority);
		if (!priority.empty() && !ParsePriority(priority, &row->priority)) {
			Say(error_, number, "\"%.*s\" is no priority", Shown(priority), priority.data());
			return false;
		}
		row->has_priority = !priority.empty();
		row->queue = Field(kQueue);
		row->keys.template_key = Field(kTemplate).empty() ? 0 : KeyOf(Field(kTemplate));
		row->keys.stream_key = Field(kStream).empty() ? 0 : KeyOf(Field(kStream));
		return true;
	}

  private:
	std::string_view Field(Column column) const noexcept
	{
		return field_of_[column] < 0 ? std::string_view() : fields_[field_of_[column]];
	}

	/* Leaves the value alone if there is none. */
	bool Number(Column column, int64_t line, double low, double high, double *value) noexcept
	{
		const std::string_view text = Field(column);
		if (text.empty())
			return true;
		if (Parse(text, low, high, value))
			return true;
		Say(error_, line, "\"%.*s\" is no %s: a number from %g to %g", Shown(text), text.data(), kColumnNames[column].data(), low, high);
		return false;
	}

	TraceError *error_;
	int num_fields_ = 0;
	int field_of_[kNumColumns];
	std::string_view fields_[kMaxFields];
};

}  // namespace

size_t CountTraceRows(std::string_view text) noexcept
{
	const size_t lines = static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
	return text.empty() ? 0 : lines + (text.back() == '\n' ? 0 : 1);
}

int64_t ReadTrace(std::string_view text, std::span<RecordedQuery> rows, TraceError *error) noexcept
{
	Reader reader(error);
	std::string_view line;
	int64_t number = 0;
	size_t count = 0;
	bool have_header = false;

	*error = TraceError{};
	constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
	if (text.starts_with(kByteOrderMark))
		text.remove_prefix(kByteOrderMark.size());
	while (TakeLine(&text, &line)) {
		number++;
		if (Trim(line).empty())
			continue;
		if (!have_header) {
			if (!reader.Header(line, number))
				return -1;
			have_header = true;
			continue;
		}
		if (count == rows.size()) {
			Say(error, number, "more rows than there is room for (%zu)", rows.size());
			return -1;
		}
		if (!reader.Row(line, number, &rows[count]))
			return -1;
		count++;
	}
	if (!have_header) {
		Say(error, 0, "the trace is empty: it needs a header line");
		return -1;
	}
	std::sort(rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(count), [](const RecordedQuery &a, const RecordedQuery &b) {
		return a.arrival_ms != b.arrival_ms ? a.arrival_ms < b.arrival_ms : a.line < b.line;
	});
	return static_cast<int64_t>(count);
}

double RecordedQueueMs(const RecordedQuery &row) noexcept
{
	return row.with_queue_ms < 0 ? -1 : std::max(0.0, row.with_queue_ms - row.duration_ms);
}

TraceQuery QueryFromRecorded(const RecordedQuery &row, int32_t queue) noexcept
{
	TraceQuery query{};
	query.arrival_ms = row.arrival_ms;
	query.work_ms = row.duration_ms;
	query.memory_kb = row.memory_kb;
	query.predicted_ms = row.predicted_ms;
	query.predicted_upper_ms = row.predicted_upper_ms;
	query.predicted_kb = row.predicted_kb;
	query.queue = queue;
	query.priority = row.priority;
	query.slots = row.slots;
	query.recorded_queue_ms = RecordedQueueMs(row);
	query.keys = row.keys;
	return query;
}

}  // namespace wlm
