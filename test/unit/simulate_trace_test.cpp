/*
 * simulate_trace_test.cpp
 *
 * Reading a trace, what is wrong with it and where; any text at all; and
 * predictions from what had ended.
 */
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "core/simulate/predict_trace.hpp"
#include "core/simulate/read_trace.hpp"

namespace wlm {
namespace {

struct Read {
	int64_t count;
	std::vector<RecordedQuery> rows;
	TraceError error;
};

Read ReadText(std::string_view text)
{
	Read read;
	read.rows.resize(CountTraceRows(text));
	read.count = ReadTrace(text, read.rows, &read.error);
	return read;
}

void ExpectError(std::string_view text, int64_t line, const char *part)
{
	const Read read = ReadText(text);
	EXPECT_EQ(-1, read.count) << text;
	EXPECT_EQ(line, read.error.line) << text;
	EXPECT_NE(nullptr, std::strstr(read.error.message, part)) << read.error.message;
}

TEST(ReadTraceTest, TwoColumnsAreEnough)
{
	const Read read = ReadText("arrival_ms,duration_ms\n21,3677\n386,2062.5\n");
	ASSERT_EQ(2, read.count) << read.error.message;
	EXPECT_EQ(21, read.rows[0].arrival_ms);
	EXPECT_EQ(2062.5, read.rows[1].duration_ms);
	EXPECT_EQ(-1, read.rows[0].with_queue_ms);
	EXPECT_EQ(0, read.rows[0].keys.template_key);
	EXPECT_EQ(0, read.rows[0].memory_kb);
	EXPECT_EQ(1, read.rows[0].slots);
	EXPECT_EQ(Priority::kNormal, read.rows[0].priority);
	EXPECT_TRUE(read.rows[0].queue.empty());
	const TraceQuery query = QueryFromRecorded(read.rows[0], 3);
	EXPECT_EQ(3, query.queue);
	EXPECT_EQ(3677, query.work_ms);
	EXPECT_EQ(-1, query.recorded_queue_ms);
	EXPECT_EQ(0, query.predicted_ms);
}

TEST(ReadTraceTest, AllColumnsInAnyOrder)
{
	const Read read = ReadText("\xef\xbb\xbfqueue,slots,priority,extra,template,stream,predicted_ms,predicted_upper_ms,predicted_kb,"
	                           "memory_kb,duration_with_queue_ms,duration_ms,arrival_ms\r\n"
	                           "\r\n"
	                           "\"a,b\",2,high,x,q1,s1,90,120,4096,2048,150,100,7\r\n"
	                           ",,,,q1,s2,,,,512,,+1e2,-5\r\n"
	                           " etl , 1 ,lowest,,q2,s1,1,,0,128,50,60,7");
	ASSERT_EQ(3, read.count) << read.error.message;
	const RecordedQuery &first = read.rows[1];      /* sorted by arrival, then by line */
	EXPECT_EQ(-5, read.rows[0].arrival_ms);
	EXPECT_EQ(3, first.line);
	EXPECT_EQ("a,b", first.queue);
	EXPECT_EQ(2, first.slots);
	EXPECT_EQ(Priority::kHigh, first.priority);
	EXPECT_EQ(90, first.predicted_ms);
	EXPECT_EQ(2048, first.memory_kb);
	EXPECT_EQ(120, QueryFromRecorded(first, 0).predicted_upper_ms);
	EXPECT_EQ(4096, QueryFromRecorded(first, 0).predicted_kb);
	EXPECT_EQ(512, QueryFromRecorded(read.rows[0], 0).predicted_kb);        /* what it needs, if nobody predicted it */
	EXPECT_EQ(0, QueryFromRecorded(read.rows[0], 0).predicted_upper_ms);
	EXPECT_EQ(0, QueryFromRecorded(read.rows[2], 0).predicted_kb);
	EXPECT_EQ(128, QueryFromRecorded(read.rows[2], 0).memory_kb);
	EXPECT_EQ(50, RecordedQueueMs(first));
	EXPECT_EQ(0, RecordedQueueMs(read.rows[2]));
	EXPECT_EQ("etl", read.rows[2].queue);
	EXPECT_EQ(first.keys.template_key, read.rows[0].keys.template_key);
	EXPECT_NE(first.keys.stream_key, read.rows[0].keys.stream_key);
	EXPECT_EQ(first.keys.stream_key, read.rows[2].keys.stream_key);
	EXPECT_NE(first.keys.template_key, read.rows[2].keys.template_key);
}

TEST(ReadTraceTest, SaysWhatIsWrongAndWhere)
{
	ExpectError("", 0, "empty");
	ExpectError("\n \n", 0, "empty");
	ExpectError("arrival_ms,duration\n1,2\n", 1, "no column duration_ms");
	ExpectError("arrival_ms,duration_ms,arrival_ms\n1,2,3\n", 1, "arrival_ms is there twice");
	ExpectError("arrival_ms,duration_ms\n1,2\n1\n", 3, "1 fields where the header has 2");
	ExpectError("arrival_ms,duration_ms\n1,2\n\n1,x\n", 4, "\"x\" is no duration_ms");
	ExpectError("arrival_ms,duration_ms\n1,-2\n", 2, "duration_ms");
	ExpectError("arrival_ms,duration_ms\n1,nan\n", 2, "duration_ms");
	ExpectError("arrival_ms,duration_ms\n1,inf\n", 2, "duration_ms");
	ExpectError("arrival_ms,duration_ms\n1,1e999\n", 2, "duration_ms");
	ExpectError("arrival_ms,duration_ms\n1,2 3\n", 2, "duration_ms");
	ExpectError("arrival_ms,duration_ms\n,2\n", 2, "arrival_ms is empty");
	ExpectError("arrival_ms,duration_ms,slots\n1,2,0\n", 2, "slots");
	ExpectError("arrival_ms,duration_ms,memory_kb\n1,2,-1\n", 2, "memory_kb");
	ExpectError("arrival_ms,duration_ms,predicted_kb\n1,2,-1\n", 2, "predicted_kb");
	ExpectError("arrival_ms,duration_ms,predicted_upper_ms\n1,2,x\n", 2, "predicted_upper_ms");
	ExpectError("arrival_ms,duration_ms,priority\n1,2,urgent\n", 2, "\"urgent\" is no priority");
	ExpectError("arrival_ms,duration_ms,priority\n1,2,a very very very very very very very very long one\n", 2, "no priority");
	ExpectError("arrival_ms,duration_ms\n\"1,2\n", 2, "quoted");
	ExpectError(std::string(300, ','), 1, "256 fields");
	std::vector<RecordedQuery> one(1);
	TraceError error;
	EXPECT_EQ(-1, ReadTrace("arrival_ms,duration_ms\n1,2\n3,4\n", one, &error));
	EXPECT_EQ(3, error.line);
}

/* Whatever is read, it ends, stays within its memory (sanitizers look), and what it accepts is sound. */
TEST(ReadTraceTest, AnyTextAtAll)
{
	const std::string good = "arrival_ms,duration_ms,memory_kb,priority,queue,predicted_ms,template,stream,slots,duration_with_queue_ms,"
	                         "predicted_kb,predicted_upper_ms\n"
	                         "1,200,3000,high,\"etl\",150,q1,s1,2,250,4000,200\n2,1e3,,,,,q2,s1,,,,\n7,0,1,low,x,1,,,1,0,0,2\n";
	const char interesting[] = ",\"\n\r\t 0123456789.-+eEinfa\xff\xef\0x";
	std::mt19937_64 random(1);
	int64_t accepted = 0;
	for (int round = 0; round < 50000; round++) {
		std::string text = good;
		const uint64_t changes = 1 + random() % 6;
		for (uint64_t i = 0; i < changes && !text.empty(); i++) {
			const size_t at = random() % text.size();
			switch (random() % 4) {
			case 0: text.erase(at, 1 + random() % 8); break;
			case 1: text.insert(at, 1, interesting[random() % sizeof(interesting)]); break;
			case 2: text[at] = static_cast<char>(random()); break;
			default: text.insert(at, text.substr(random() % text.size(), random() % 30)); break;
			}
		}
		const Read read = ReadText(text);
		if (read.count < 0) {
			EXPECT_NE('\0', read.error.message[0]);
			continue;
		}
		accepted++;
		ASSERT_LE(static_cast<size_t>(read.count), read.rows.size());
		for (int64_t i = 0; i < read.count; i++) {
			const RecordedQuery &row = read.rows[static_cast<size_t>(i)];
			ASSERT_TRUE(std::isfinite(row.arrival_ms) && row.duration_ms >= 0 && std::isfinite(row.duration_ms));
			ASSERT_TRUE(i == 0 || read.rows[static_cast<size_t>(i - 1)].arrival_ms <= row.arrival_ms);
			ASSERT_GE(row.slots, 1);
			ASSERT_GE(row.memory_kb, 0);
			const char *const end = row.queue.data() + row.queue.size();
			ASSERT_TRUE(row.queue.empty() || (row.queue.data() >= text.data() && end <= text.data() + text.size()));
		}
	}
	EXPECT_GT(accepted, 1000);
}

std::vector<Predicted> PredictAll(const std::vector<Observed> &trace, double sigmas = kUpperTimeQuantile)
{
	std::vector<uint64_t> words(PredictTraceBytes(static_cast<int64_t>(trace.size())) / 8 + 1, 0xabababababababab);
	std::vector<Predicted> predictions(trace.size());
	EXPECT_TRUE(PredictTrace(trace, sigmas, std::as_writable_bytes(std::span(words)), predictions));
	return predictions;
}

TEST(PredictTraceTest, KnowsOnlyWhatHasEnded)
{
	/* the second arrives while the first runs, the third as it ends */
	const std::vector<Predicted> predictions =
		PredictAll({{0, 100, 100, {1, 0}}, {50, 150, 100, {1, 0}}, {100, 110, 10, {1, 0}}, {200, 210, 10, {1, 0}}});
	EXPECT_EQ(0, predictions[0].median);
	EXPECT_EQ(0, predictions[1].median);
	EXPECT_EQ(0, predictions[1].upper);
	EXPECT_NEAR(100, predictions[2].median, 1e-9);
	EXPECT_GT(predictions[2].upper, 150);
	EXPECT_LT(predictions[3].median, 60);
	EXPECT_TRUE(PredictAll({}).empty());
	std::vector<Predicted> one(1);
	EXPECT_FALSE(PredictTrace(std::vector<Observed>(1), 1, {}, one));
}

/* What comes later changes no answer: the same whether it is there or not. */
TEST(PredictTraceTest, TheFutureChangesNothing)
{
	std::mt19937_64 random(3);
	std::vector<Observed> trace;
	double now = 0;
	for (int i = 0; i < 500; i++) {
		const double time = static_cast<double>(random() % 100000);
		trace.push_back({now, now + time, time, {random() % 7, random() % 3}});
		now += static_cast<double>(random() % 1000);
	}
	const std::vector<Predicted> all = PredictAll(trace);
	for (const size_t count : {size_t{1}, size_t{10}, size_t{137}, size_t{499}}) {
		std::vector<Observed> part(trace.begin(), trace.begin() + static_cast<std::ptrdiff_t>(count));
		const std::vector<Predicted> predictions = PredictAll(part);
		for (size_t i = 0; i < count; i++) {
			/* the table has another size, so only sums are the same, which are all that counts */
			EXPECT_DOUBLE_EQ(all[i].median, predictions[i].median);
			EXPECT_DOUBLE_EQ(all[i].upper, predictions[i].upper);
		}
	}
}

TEST(PredictTraceTest, LearnsTemplatesAndStreamsAndHowSureItIs)
{
	std::mt19937_64 random(5);
	std::normal_distribution<double> normal(0, 1);
	std::vector<Observed> trace;
	for (int i = 0; i < 20000; i++) {
		const uint64_t of_template = 1 + random() % 20, stream = 1 + random() % 10;
		const double typical = 10.0 * std::exp(0.3 * static_cast<double>(of_template) + 0.2 * static_cast<double>(stream));
		const double value = typical * std::exp(0.4 * normal(random));
		trace.push_back({100.0 * i, 100.0 * i + 50, value, {of_template, stream}});
	}
	const std::vector<Predicted> predictions = PredictAll(trace);
	double error = 0, covered = 0;
	for (size_t i = 10000; i < trace.size(); i++) {
		error += std::abs(std::log(predictions[i].median / trace[i].value));
		covered += trace[i].value <= predictions[i].upper ? 1 : 0;
	}
	EXPECT_LT(error / 10000, 0.4 * 0.8 * 1.25);     /* the noise alone is 0.8 sigma */
	EXPECT_NEAR(0.8, covered / 10000, 0.04);
}

}  // namespace
}  // namespace wlm
