// bench_driver measure: warm-up and measurement of one system.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <thread>

#include "client_pool.hpp"
#include "commands.hpp"
#include "connection.hpp"
#include "memory_sampler.hpp"
#include "options.hpp"
#include "processes.hpp"
#include "run_file.hpp"
#include "server_facts.hpp"
#include "text.hpp"

namespace wlm::bench {

namespace {

void WarmUp(const std::vector<QueryTemplate>& templates, const Workload& workload, int times, const std::string& name) {
	PoolOptions pool;
	pool.clients = workload.cores;
	pool.open_loop = false;
	const std::vector<Arrival> arrivals = BuildWarmUp(templates, times, workload.seed);
	RunClients(templates, arrivals, pool, [] {}, [&](const Progress& progress) {
		std::printf("   %s, warm-up: %zu of %zu queries\n", name.c_str(), progress.finished, arrivals.size());
	});
}

void PrintSchedule(const std::string& name, const Schedule& schedule, const Workload& workload) {
	const double count = static_cast<double>(schedule.arrivals.size());
	std::printf("   %s: %.0f queries in %.0f s (%.1f per second, load %.2f), %.0f %% exact repeats, ten texts are %.0f %%\n",
	            name.c_str(), count, workload.seconds, count / workload.seconds, schedule.load, 100.0 * schedule.repeats,
	            100.0 * schedule.top_ten);
}

// How much CPU time the server, the driver and everybody else used between two moments.
class CpuMeter {
  public:
	explicit CpuMeter(pid_t postmaster) : processes_(postmaster), server_(processes_.CpuOfServer()) {}

	void AddFacts(Facts& facts) const {
		const double server = processes_.CpuOfServer() - server_;
		const double driver = ServerProcesses::CpuOf(getpid()) - driver_;
		const double machine = ServerProcesses::CpuOfMachine() - machine_;
		facts["cpu_server"] = Text("%.2f", server);
		facts["cpu_driver"] = Text("%.2f", driver);
		facts["cpu_others"] = Text("%.2f", std::max(0.0, machine - server - driver));
	}

  private:
	ServerProcesses processes_;
	double server_;
	double driver_ = ServerProcesses::CpuOf(getpid());
	double machine_ = ServerProcesses::CpuOfMachine();
};

void AddMemoryFacts(const MemorySampler::Reading& memory, Facts& facts) {
	facts["memory_idle"] = Text("%.0f", memory.first);
	facts["memory_peak"] = Text("%.0f", memory.peak);
	facts["memory_after"] = Text("%.0f", memory.now);
	facts["memory_mean"] = Text("%.0f", memory.mean);
	facts["cgroup_anonymous_peak"] = Text("%.0f", memory.cgroup_peak);
	facts["cgroup_anonymous_after"] = Text("%.0f", memory.cgroup_now);
}

// Waits until pg_wlm's worker has written what the last queries left.
void AddWorkloadManagerFacts(Connection& admin, RunResult& result, Facts& facts) {
	std::string before;
	for (int attempt = 0; attempt < 6; ++attempt) {
		const std::string rows = admin.Ask("SELECT count(*) FROM wlm.history")[0][0];
		if (rows == before && attempt > 2)
			break;
		before = rows;
		std::this_thread::sleep_for(std::chrono::milliseconds(1500));
	}
	facts["wlm_recorded"] = Text("%zu", AddQueueTimes(admin, result));
	const auto counts = admin.Ask(Text("SELECT count(*) FILTER (WHERE forced), count(*) FILTER (WHERE evicted) FROM wlm.history "
	                                   "WHERE finished_at >= to_timestamp(%.3f)", result.start_epoch));
	facts["wlm_forced"] = counts[0][0];
	facts["wlm_evicted"] = counts[0][1];
}

Workload ReadWorkload(const Options& options) {
	Workload workload;
	workload.seconds = options.Number("seconds", workload.seconds);
	workload.load = options.Number("load", workload.load);
	workload.rate = options.Number("rate", 0.0);
	workload.cores = std::max(1, static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN)));
	workload.seed = static_cast<uint64_t>(options.Count("seed", 1));
	return workload;
}

}  // namespace

int Measure(int argc, char** argv) {
	const Options options(argc, argv, {"templates", "costs", "system", "out", "postmaster", "log", "cgroup", "seconds", "load", "rate",
	                                   "clients", "seed", "warm-up", "drain-limit"});
	const Workload workload = ReadWorkload(options);
	const std::string log_file = options.Need("log");
	SystemRun run;
	run.name = options.Need("system");
	Connection admin("bench_driver admin", 60);
	const std::vector<QueryTemplate> templates = ReadTemplates(options.Need("templates"), ReadSizes(admin));
	const Schedule schedule = BuildSchedule(templates, ReadCosts(options.Need("costs")), workload);

	WarmUp(templates, workload, options.Count("warm-up", 2), run.name);
	const bool is_managed = HasWorkloadManager(admin);
	// Backends report their statistics when they end, and pg_wlm's learner follows within its flush interval.
	std::this_thread::sleep_for(std::chrono::milliseconds(is_managed ? 4000 : 1500));

	PoolOptions pool;
	pool.max_clients = std::max(1, options.Count("clients", 96));
	pool.clients = std::min(16, pool.max_clients);
	pool.drain_limit_s = options.Number("drain-limit", 120.0);
	const double temp_before = DatabaseTempBytes(admin);
	const size_t log_offset = std::filesystem::file_size(log_file);
	std::unique_ptr<MemorySampler> memory;
	PrintSchedule(run.name, schedule, workload);
	const pid_t postmaster = options.Count("postmaster", 0);
	const CpuMeter cpu(postmaster);
	RunResult result = RunClients(
		templates, schedule.arrivals, pool,
		[&] { memory = std::make_unique<MemorySampler>(postmaster, options.Get("cgroup")); },
		[&](const Progress& now) {
			std::printf("   %s, %3.0f s: %zu of %zu arrived, %zu done, %zu in the server, ", run.name.c_str(), now.elapsed, now.due,
			            schedule.arrivals.size(), now.finished, now.running);
			std::printf("%zu wait for a client, backends %s%s\n", now.waiting, Bytes(memory->Read().now).c_str(),
			            now.errors > 0 ? Text(", %zu errors", now.errors).c_str() : "");
		});
	cpu.AddFacts(run.facts);
	AddMemoryFacts(memory->Read(), run.facts);
	memory.reset();

	std::this_thread::sleep_for(std::chrono::milliseconds(1500));
	const LogFacts log = AddTempBytes(log_file, log_offset, result);
	// A crash loses the server's statistics.
	run.facts["temp_bytes"] = Text("%.0f", log.crashes > 0 ? log.temp_bytes : DatabaseTempBytes(admin) - temp_before);
	run.facts["crashes"] = Text("%d", log.crashes);
	if (is_managed)
		AddWorkloadManagerFacts(admin, result, run.facts);
	for (const auto& [name, value] : ReadSettings(admin))
		run.facts["setting." + name] = value;
	run.facts["seconds"] = Text("%.0f", workload.seconds);
	run.facts["cores"] = Text("%d", workload.cores);
	run.facts["clients"] = Text("%d", pool.max_clients);
	run.facts["seed"] = Text("%llu", static_cast<unsigned long long>(workload.seed));
	run.facts["load"] = Text("%.3f", schedule.load);
	run.facts["repeats"] = Text("%.3f", schedule.repeats);
	run.facts["top_ten"] = Text("%.3f", schedule.top_ten);
	run.samples = std::move(result.samples);
	WriteRun(options.Need("out"), run);
	return 0;
}

}  // namespace wlm::bench
