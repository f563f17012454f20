// See server_facts.hpp.
#include "server_facts.hpp"

#include <algorithm>
#include <cstdlib>
#include <unordered_map>

#include "text.hpp"

namespace wlm::bench {

namespace {

// Finds the sample that a backend was executing at a moment of the wall clock.
class SampleFinder {
  public:
	explicit SampleFinder(RunResult& run) : start_epoch_(run.start_epoch) {
		for (Sample& sample : run.samples) {
			if (sample.pid != 0)
				by_pid_[sample.pid].push_back(&sample);
		}
		for (auto& [pid, samples] : by_pid_)
			std::sort(samples.begin(), samples.end(), [](const Sample* a, const Sample* b) { return a->sent < b->sent; });
	}

	// The sample that contains the moment or, as clocks are rounded, the one nearest to it within 20 ms.
	Sample* Find(int pid, double epoch) const {
		const auto samples = by_pid_.find(pid);
		if (samples == by_pid_.end())
			return nullptr;
		const double moment = epoch - start_epoch_;
		Sample* nearest = nullptr;
		double distance = 0.02;
		const auto after = std::upper_bound(samples->second.begin(), samples->second.end(), moment,
		                                    [](double value, const Sample* sample) { return value < sample->sent; });
		if (after != samples->second.begin()) {
			nearest = *(after - 1);
			if (moment <= nearest->finished)
				return nearest;
			distance = std::min(distance, moment - nearest->finished);
			if (moment - nearest->finished > distance)
				nearest = nullptr;
		}
		return after != samples->second.end() && (*after)->sent - moment < distance ? *after : nearest;
	}

  private:
	double start_epoch_;
	std::unordered_map<int, std::vector<Sample*>> by_pid_;
};

}  // namespace

// 1732183200.123 8123 8100|LOG:  temporary file: path "base/pgsql_tmp/pgsql_tmp8123.4", size 140000
LogFacts AddTempBytes(const std::string& log_file, size_t offset, RunResult& run) {
	LogFacts facts;
	const std::string log = ReadFile(log_file);
	const SampleFinder finder(run);
	for (size_t at = std::min(offset, log.size()); at < log.size();) {
		const size_t end = std::min(log.find('\n', at), log.size());
		const std::string line = log.substr(at, end - at);
		at = end + 1;
		facts.crashes += line.find(") was terminated by signal ") != std::string::npos ? 1 : 0;
		const size_t message = line.find("LOG:  temporary file: path ");
		const size_t size = line.rfind(", size ");
		const size_t prefix_end = line.find('|');
		if (message == std::string::npos || size == std::string::npos || prefix_end == std::string::npos)
			continue;
		const double bytes = std::atof(line.c_str() + size + 7);
		facts.temp_bytes += bytes;
		const std::vector<std::string> prefix = Split(std::string_view(line).substr(0, prefix_end), ' ');
		if (prefix.size() < 2)
			continue;
		const int leader = prefix.size() > 2 ? std::atoi(prefix[2].c_str()) : 0;
		// The log cuts milliseconds off: half of one is the best guess.
		Sample* sample = finder.Find(leader != 0 ? leader : std::atoi(prefix[1].c_str()), std::atof(prefix[0].c_str()) + 0.0005);
		if (sample != nullptr)
			sample->temp_bytes += bytes;
	}
	return facts;
}

size_t AddQueueTimes(Connection& connection, RunResult& run) {
	const SampleFinder finder(run);
	size_t found = 0;
	for (const auto& row : connection.Ask(Text("SELECT pid, extract(epoch FROM finished_at), queue_ms FROM wlm.history "
	                                           "WHERE finished_at >= to_timestamp(%.3f)", run.start_epoch))) {
		Sample* sample = finder.Find(std::atoi(row[0].c_str()), std::atof(row[1].c_str()));
		if (sample != nullptr) {
			sample->server_queue += std::atof(row[2].c_str()) / 1000.0;
			++found;
		}
	}
	return found;
}

bool HasWorkloadManager(Connection& connection) {
	return connection.Ask("SELECT to_regclass('wlm.history') IS NOT NULL AND current_setting('wlm.mode', true) IS NOT NULL")[0][0] == "t";
}

double DatabaseTempBytes(Connection& connection) {
	return std::atof(connection.Ask("SELECT temp_bytes FROM pg_stat_database WHERE datname = current_database()")[0][0].c_str());
}

Sizes ReadSizes(Connection& connection) {
	Sizes sizes;
	if (connection.Ask("SELECT to_regclass('retail.size') IS NULL")[0][0] == "t")
		return sizes;
	for (const auto& row : connection.Ask("SELECT name, value FROM retail.size"))
		sizes[row[0]] = std::atoll(row[1].c_str());
	return sizes;
}

std::map<std::string, std::string> ReadSettings(Connection& connection) {
	std::map<std::string, std::string> settings;
	for (const auto& row : connection.Ask(
			 "SELECT name, current_setting(name) FROM pg_settings WHERE name IN ('server_version', 'work_mem', 'hash_mem_multiplier',"
			 " 'shared_buffers', 'max_parallel_workers_per_gather', 'shared_preload_libraries', 'wlm.mode', 'wlm.memory', 'wlm.min_cost',"
			 " 'wlm.max_wait', 'wlm.max_standstill', 'wlm.grant_scope', 'wlm.elastic', 'wlm.need_factor')"))
		settings[row[0]] = row[1];
	return settings;
}

}  // namespace wlm::bench
