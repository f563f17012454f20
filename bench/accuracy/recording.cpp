/*
 * recording.cpp
 *
 * See recording.hpp.
 */
#include "recording.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <limits>
#include <memory>
#include <stdexcept>
#include <unordered_set>

#include "core/hash.hpp"
#include "core/learn/sample_pool.hpp"

namespace wlm::accuracy {

namespace {

constexpr size_t kLeastPoolBytes = size_t{16} << 20;
constexpr uint64_t kQueryMemoryKey = 1000;

int Digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* A line as psql prints bytea; false if it is none. */
bool FromHex(const std::string &line, std::vector<std::byte> *bytes)
{
	bytes->clear();
	if (line.size() < 4 || line.size() % 2 != 0 || line[0] != '\\' || line[1] != 'x')
		return false;
	for (size_t i = 2; i < line.size(); i += 2) {
		const int high = Digit(line[i]);
		const int low = Digit(line[i + 1]);
		if (high < 0 || low < 0)
			return false;
		bytes->push_back(static_cast<std::byte>(high * 16 + low));
	}
	return true;
}

int64_t ReadMoment(const std::filesystem::path &path)
{
	std::ifstream file(path);
	int64_t moment = 0;
	return file >> moment ? moment : 0;
}

}  // namespace

void Medians::Add(const Sample &sample)
{
	if (sample.time_weight > 0)
		values_[sample.plan_fingerprint].push_back(sample.log_ms);
	if (sample.query_kb_weight > 0)
		values_[Combine(sample.plan_fingerprint, kQueryMemoryKey)].push_back(sample.log_query_kb);
	for (int slot = 0; slot < sample.graph.num_memory_nodes; slot++)
		if (sample.operators[slot].needed_weight > 0)
			values_[Combine(sample.plan_fingerprint, static_cast<uint64_t>(slot) + 1)].push_back(sample.operators[slot].log_needed_kb);
}

void Medians::Finish()
{
	for (auto &[key, values] : values_) {
		if (values.size() < kLeastExecutions)
			continue;
		std::sort(values.begin(), values.end());
		const size_t middle = values.size() / 2;
		medians_[key] = values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
	}
	values_.clear();
}

float Medians::Get(uint64_t key) const
{
	const auto found = medians_.find(key);
	return found == medians_.end() ? std::numeric_limits<float>::quiet_NaN() : found->second;
}

float Medians::Time(const Sample &sample) const { return Get(sample.plan_fingerprint); }

float Medians::OperatorMemory(const Sample &sample, int slot) const
{
	return Get(Combine(sample.plan_fingerprint, static_cast<uint64_t>(slot) + 1));
}

float Medians::QueryMemory(const Sample &sample) const { return Get(Combine(sample.plan_fingerprint, kQueryMemoryKey)); }

Recording ReadRecording(const std::string &path)
{
	Recording recording;
	const std::filesystem::path name(path);
	const std::string stem = name.stem().string();
	const size_t dash = stem.rfind('-');
	recording.workload = stem.substr(0, dash);
	recording.condition = dash == stem.npos ? "alone" : stem.substr(dash + 1);
	recording.changed_at = ReadMoment(std::filesystem::path(path).replace_extension(".moment"));

	std::ifstream file(path, std::ios::binary);
	if (!file)
		throw std::runtime_error("could not read " + path);
	const auto sample = std::make_unique<Sample>();
	const uint64_t database = CombineText(1, recording.workload.c_str());
	std::unordered_set<uint64_t> plans;
	std::unordered_set<uint64_t> templates;
	std::vector<std::byte> bytes;
	for (std::string line; std::getline(file, line);) {
		size_t used = 0;
		if (line.empty())
			continue;
		if (!FromHex(line, &bytes) || DecodeSample(bytes, sample.get(), &used) != SampleStatus::kOk) {
			recording.damaged++;
			continue;
		}
		sample->plan_fingerprint = Combine(database, sample->plan_fingerprint);
		sample->template_fingerprint = Combine(database, sample->template_fingerprint);
		sample->database = database;
		plans.insert(sample->plan_fingerprint);
		templates.insert(sample->template_fingerprint);
		recording.medians.Add(*sample);
		recording.samples.Add(*sample);
	}
	recording.medians.Finish();
	recording.plans = plans.size();
	recording.templates = templates.size();
	if (recording.samples.size() == 0)
		throw std::runtime_error(path + " holds no samples");
	return recording;
}

std::vector<Recording> ReadRecordings(const std::vector<std::string> &paths)
{
	std::vector<std::string> files;
	for (const std::string &path : paths) {
		if (!std::filesystem::is_directory(path)) {
			files.push_back(path);
			continue;
		}
		for (const auto &entry : std::filesystem::directory_iterator(path))
			if (entry.path().extension() == ".samples")
				files.push_back(entry.path().string());
	}
	std::sort(files.begin(), files.end());
	std::vector<Recording> recordings;
	for (const std::string &file : files)
		recordings.push_back(ReadRecording(file));
	if (recordings.empty())
		throw std::runtime_error("no files of samples are given");
	return recordings;
}

trainer::Samples FoldForTraining(std::span<const Recording> recordings, const Choice &choice)
{
	size_t needed = 0;
	for (const Recording &recording : recordings)
		needed += recording.samples.bytes();
	const size_t bytes = SamplePool::BytesNeeded(std::max(2 * needed, kLeastPoolBytes));
	const auto memory = std::make_unique<uint64_t[]>(bytes / sizeof(uint64_t) + 1);
	SamplePool *pool = SamplePool::Init({reinterpret_cast<std::byte *>(memory.get()), bytes});
	if (pool == nullptr)
		throw std::runtime_error("no pool of samples");
	const auto sample = std::make_unique<Sample>();
	for (const Recording &recording : recordings) {
		for (size_t i = 0; i < recording.samples.size(); i++) {
			recording.samples.Get(i, sample.get());
			if (choice(recording, i, *sample))
				pool->Add(*sample);
		}
	}
	pool->Sort();
	trainer::Samples folded;
	for (int i = 0; i < pool->size(); i++)
		folded.Add(pool->Encoded(i));
	return folded;
}

}  // namespace wlm::accuracy
