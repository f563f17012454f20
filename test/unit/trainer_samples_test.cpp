/*
 * trainer_samples_test.cpp
 *
 * Samples as the trainer reads them: binary and as psql prints them, whole,
 * damaged, cut in two by chunks, more than memory holds.
 */
#include <gtest/gtest.h>

#include <sstream>
#include <stdexcept>
#include <string>

#include "core/learn/sample_pool.hpp"
#include "fuzz/mutate.hpp"
#include "sample_builder.hpp"
#include "trainer/samples.hpp"

namespace wlm {
namespace {

using test::Bytes;
using trainer::ReadSamples;
using trainer::Samples;

constexpr size_t kMemory = 4 << 20;

std::string Text(const Bytes &bytes) { return {reinterpret_cast<const char *>(bytes.data()), bytes.size()}; }

std::string Hex(const Bytes &bytes)
{
	std::string text = "\\x";
	for (const std::byte byte : bytes) {
		text += "0123456789abcdef"[static_cast<int>(byte) >> 4];
		text += "0123456789abcdef"[static_cast<int>(byte) & 15];
	}
	return text;
}

Bytes Record(int i) { return test::Encoded(*test::JoinSample(static_cast<uint64_t>(i), 10, i)); }

Samples Read(const std::string &text, int64_t *skipped, size_t memory = kMemory)
{
	std::istringstream input(text);
	return ReadSamples(input, memory, skipped);
}

TEST(SamplesTest, AddAndGet)
{
	Samples samples;
	Bytes record = Record(1);
	EXPECT_TRUE(samples.Add(record));
	samples.Add(*test::RandomSample(5));
	record.back() ^= std::byte{1};
	EXPECT_FALSE(samples.Add(record));
	EXPECT_EQ(samples.size(), 2u);
	Sample sample;
	samples.Get(0, &sample);
	EXPECT_EQ(sample.last_seen, 1);
	samples.Get(1, &sample);
	EXPECT_EQ(test::Encoded(sample), test::Encoded(*test::RandomSample(5)));
	EXPECT_THROW(samples.Get(2, &sample), std::exception);
}

TEST(ReadSamplesTest, BinaryInOrderOfTime)
{
	std::string text;
	for (int i = 999; i >= 0; i--)
		text += Text(Record(i));
	int64_t skipped = -1;
	const Samples samples = Read(text, &skipped);
	EXPECT_EQ(skipped, 0);
	ASSERT_EQ(samples.size(), 1000u);
	EXPECT_EQ(samples.bytes(), text.size());
	Sample sample;
	for (size_t i = 0; i < 1000; i++) {
		samples.Get(i, &sample);
		EXPECT_EQ(sample.last_seen, static_cast<int64_t>(i));
	}
}

TEST(ReadSamplesTest, AsPsqlPrintsThem)
{
	std::string bare;
	std::string table = " export_samples \n----------------\n";
	for (int i = 0; i < 1000; i++) {
		bare += Hex(Record(i)) + "\n";
		table += " " + Hex(Record(i)) + "\n";
	}
	table += "(1000 rows)\n\n";
	int64_t skipped = -1;
	EXPECT_EQ(Read(bare, &skipped).size(), 1000u);
	EXPECT_EQ(skipped, 0);
	EXPECT_EQ(Read(table, &skipped).size(), 1000u);
	EXPECT_EQ(skipped, 0);
	/* several in one value, the last line without its end, capital digits */
	Bytes two = Record(1);
	const Bytes second = Record(2);
	two.insert(two.end(), second.begin(), second.end());
	std::string text = Hex(two);
	for (size_t i = 2; i < text.size(); i++)
		text[i] = static_cast<char>(std::toupper(text[i]));
	EXPECT_EQ(Read(text, &skipped).size(), 2u);
	EXPECT_EQ(skipped, 0);
}

TEST(ReadSamplesTest, DamageCostsTheDamagedOnly)
{
	std::string text;
	std::string lines;
	for (int i = 0; i < 600; i++) {
		Bytes record = Record(i);
		if (i % 100 == 50)
			record[static_cast<size_t>(i)  % record.size()] ^= std::byte{0xff};
		if (i % 100 == 70)
			record[8] ^= std::byte{0x7}; /* its length */
		if (i % 100 == 90)
			record.resize(record.size() / 2);
		text += Text(record);
		lines += Hex(record) + "\n";
	}
	int64_t skipped = -1;
	EXPECT_EQ(Read(text, &skipped).size(), 582u);
	EXPECT_EQ(skipped, 18);
	EXPECT_EQ(Read(lines, &skipped).size(), 582u);
	EXPECT_EQ(skipped, 18);
}

TEST(ReadSamplesTest, NothingLeft)
{
	int64_t skipped = -1;
	EXPECT_THROW(Read("", &skipped), std::runtime_error);
	EXPECT_EQ(skipped, 0);
	EXPECT_THROW(Read("\\x", &skipped), std::runtime_error);
	EXPECT_THROW(Read("\n\n(0 rows)\n", &skipped), std::runtime_error);
	EXPECT_THROW(Read(std::string(1 << 20, 'w'), &skipped), std::runtime_error);
	EXPECT_THROW(Read(Text(Record(1)), &skipped, 1000), std::runtime_error) << "too little memory";
}

TEST(ReadSamplesTest, MoreThanFits)
{
	std::string text;
	for (int i = 0; i < 5000; i++)
		text += Text(Record(i));
	int64_t skipped;
	const Samples samples = Read(text, &skipped, SamplePool::BytesNeeded(100 * 1000));
	EXPECT_EQ(skipped, 0);
	EXPECT_LE(samples.bytes(), 100u * 1000);
	EXPECT_GT(samples.size(), 180u);
	Sample sample;
	samples.Get(samples.size() - 1, &sample);
	EXPECT_EQ(sample.last_seen, 4999);
}

TEST(ReadSamplesTest, MutatedStreams)
{
	test::Mutator mutator(30);
	Bytes binary;
	std::string lines;
	for (int i = 0; i < 30; i++) {
		const Bytes record = Record(i);
		binary.insert(binary.end(), record.begin(), record.end());
		lines += Hex(record) + "\n";
	}
	const auto text = std::as_bytes(std::span(lines));
	const Bytes hex(text.begin(), text.end());
	for (int i = 0; i < 3000; i++) {
		const bool as_hex = i % 2 == 0;
		const Bytes bytes = mutator.Mutate(as_hex ? hex : binary, as_hex ? binary : hex, 0);
		int64_t skipped = -1;
		try {
			const Samples samples = Read(Text(bytes), &skipped, SamplePool::BytesNeeded(0));
			EXPECT_LE(samples.size(), 60u);
		} catch (const std::runtime_error &) {
		}
		EXPECT_GE(skipped, 0);
		EXPECT_LT(skipped, 500);
	}
}

}  // namespace
}  // namespace wlm
