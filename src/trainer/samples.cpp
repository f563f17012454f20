/*
 * samples.cpp
 *
 * Samples in memory, and reading them from a stream of which nothing is
 * certain: a record that is damaged is passed over up to the next magic.
 */
#include "trainer/samples.hpp"

#include <algorithm>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string_view>

#include "core/learn/sample_format.hpp"
#include "core/learn/sample_pool.hpp"

namespace wlm::trainer {

namespace {

constexpr size_t kChunkBytes = size_t{64} * 1024;

/* Cuts a stream of bytes into records and hands the good ones to a pool. */
class RecordReader {
  public:
	explicit RecordReader(SamplePool *pool) : pool_(pool), sample_(std::make_unique<Sample>()) {}

	void Feed(std::span<const std::byte> bytes)
	{
		pending_.insert(pending_.end(), bytes.begin(), bytes.end());
		/* so many hold a whole record for sure */
		if (pending_.size() >= kMostSampleBytes + kChunkBytes)
			Cut(kMostSampleBytes);
	}
	/* Nothing that comes later belongs to what is pending. */
	void Finish()
	{
		Cut(1);
		pending_.clear();
		lost_ = false;
	}
	int64_t skipped() const { return skipped_; }

  private:
	/* Until less than `least` bytes are left. */
	void Cut(size_t least)
	{
		size_t at = 0;
		while (pending_.size() - at >= least) {
			const auto rest = std::span<const std::byte>(pending_).subspan(at);
			size_t used;
			if (DecodeSample(rest, sample_.get(), &used) == SampleStatus::kOk) {
				pool_->Add(*sample_);
				lost_ = false;
				at += used;
			} else {
				at += PassOver(rest);
			}
		}
		pending_.erase(pending_.begin(), pending_.begin() + static_cast<ptrdiff_t>(at));
	}

	/* Bytes up to where the next record may begin. Its length may be as wrong as the rest of it, so only the magic counts. */
	size_t PassOver(std::span<const std::byte> bytes)
	{
		const auto magic = std::as_bytes(std::span(&kSampleMagic, 1));
		const auto find = [&](auto from) { return std::search(from, bytes.end(), magic.begin(), magic.end()); };
		if (!lost_ || find(bytes.begin()) == bytes.begin())
			skipped_++;
		lost_ = true;
		const auto next = find(bytes.begin() + 1);
		/* it may have been cut in two: then its first bytes are looked at again, together with what follows */
		const size_t passed = static_cast<size_t>(next - bytes.begin());
		return next != bytes.end() || bytes.size() < magic.size() ? passed : bytes.size() - (magic.size() - 1);
	}

	SamplePool *pool_;
	std::unique_ptr<Sample> sample_;
	std::vector<std::byte> pending_;
	int64_t skipped_ = 0;
	bool lost_ = false; /* what is being passed over has been counted */
};

/* Lines of "\x" and digits; other lines (psql's headings) mean nothing, nor does what follows a wrong digit. */
class HexReader {
  public:
	explicit HexReader(RecordReader *records) : records_(records) {}

	void Feed(std::span<const std::byte> text)
	{
		bytes_.clear();
		for (const std::byte byte : text)
			Take(static_cast<char>(byte));
		records_->Feed(bytes_);
	}
	void Finish()
	{
		records_->Feed(bytes_);
		records_->Finish();
	}

  private:
	enum class State { kStart, kBackslash, kFirstDigit, kSecondDigit, kIgnored };

	void Take(char c)
	{
		if (c == '\n') {
			records_->Feed(bytes_);
			bytes_.clear();
			records_->Finish();
			state_ = State::kStart;
			return;
		}
		switch (state_) {
			case State::kStart:
				if (c != ' ' && c != '\t')
					state_ = c == '\\' ? State::kBackslash : State::kIgnored;
				break;
			case State::kBackslash: state_ = c == 'x' ? State::kFirstDigit : State::kIgnored; break;
			case State::kFirstDigit:
			case State::kSecondDigit: TakeDigit(c); break;
			case State::kIgnored: break;
		}
	}

	void TakeDigit(char c)
	{
		constexpr std::string_view kDigits = "0123456789abcdef";
		const size_t digit = kDigits.find(c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c);
		if (digit == kDigits.npos) {
			state_ = State::kIgnored;
		} else if (state_ == State::kFirstDigit) {
			high_ = digit;
			state_ = State::kSecondDigit;
		} else {
			bytes_.push_back(static_cast<std::byte>(high_ << 4 | digit));
			state_ = State::kFirstDigit;
		}
	}

	RecordReader *records_;
	std::vector<std::byte> bytes_;
	State state_ = State::kStart;
	size_t high_ = 0;
};

/* By the first chunk: nothing but a heading stands before the first "\x". */
bool IsHex(std::span<const std::byte> first)
{
	const std::string_view text(reinterpret_cast<const char *>(first.data()), first.size());
	const size_t begin = text.find("\\x");
	return begin != text.npos && text.find_first_not_of("\t\n\r -+()_abcdefghijklmnopqrstuvwxyz0123456789") >= begin;
}

}  // namespace

bool Samples::Add(std::span<const std::byte> encoded)
{
	const auto sample = std::make_unique<Sample>();
	size_t used;
	if (DecodeSample(encoded, sample.get(), &used) != SampleStatus::kOk)
		return false;
	offsets_.push_back(bytes_.size());
	bytes_.insert(bytes_.end(), encoded.begin(), encoded.begin() + static_cast<ptrdiff_t>(used));
	return true;
}

void Samples::Add(const Sample &sample)
{
	offsets_.push_back(bytes_.size());
	bytes_.resize(bytes_.size() + SampleBytes(sample));
	EncodeSample(sample, std::span(bytes_).subspan(offsets_.back()));
}

void Samples::Reserve(size_t samples, size_t bytes)
{
	offsets_.reserve(samples);
	bytes_.reserve(bytes);
}

void Samples::Get(size_t index, Sample *sample) const
{
	size_t used;
	const auto bytes = std::span<const std::byte>(bytes_).subspan(offsets_.at(index));
	if (DecodeSample(bytes, sample, &used) != SampleStatus::kOk)
		throw std::runtime_error("a sample in memory is damaged");
}

float MissingWorkers(const Sample &sample, float processes)
{
	const float planned = sample.graph.planned_workers;
	if (!(processes > 1) || !(planned > 0) || !(sample.workers_launched >= 0) || !(sample.workers_launched < planned))
		return 1;
	return processes / (1 + (processes - 1) * sample.workers_launched / planned);
}

Samples ReadSamples(std::istream &input, size_t memory, int64_t *skipped)
{
	/* touched only as far as it is used */
	const auto words = std::make_unique_for_overwrite<uint64_t[]>(memory / sizeof(uint64_t));
	SamplePool *pool = SamplePool::Init(std::as_writable_bytes(std::span(words.get(), memory / sizeof(uint64_t))));
	if (pool == nullptr)
		throw std::runtime_error("too little memory for samples");

	RecordReader records(pool);
	HexReader digits(&records);
	std::vector<std::byte> chunk(kChunkBytes);
	bool hex = false;
	for (bool first = true; input; first = false) {
		input.read(reinterpret_cast<char *>(chunk.data()), static_cast<std::streamsize>(chunk.size()));
		const auto read = std::span<const std::byte>(chunk).first(static_cast<size_t>(input.gcount()));
		if (first)
			hex = IsHex(read);
		if (hex)
			digits.Feed(read);
		else
			records.Feed(read);
	}
	if (hex)
		digits.Finish();
	else
		records.Finish();
	*skipped = records.skipped();
	if (pool->size() == 0)
		throw std::runtime_error(*skipped > 0 ? "all samples are damaged" : "no samples");

	pool->Sort();
	pool->LimitRoles();
	size_t bytes = 0;
	for (int i = 0; i < pool->size(); i++)
		bytes += pool->Encoded(i).size();
	Samples samples;
	samples.Reserve(static_cast<size_t>(pool->size()), bytes);
	for (int i = 0; i < pool->size(); i++)
		samples.Add(pool->Encoded(i));
	return samples;
}

}  // namespace wlm::trainer
