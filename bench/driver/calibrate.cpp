// bench_driver calibrate: each template by itself on an idle server.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <thread>

#include "client_pool.hpp"
#include "commands.hpp"
#include "connection.hpp"
#include "options.hpp"
#include "processes.hpp"
#include "run_file.hpp"
#include "server_facts.hpp"
#include "text.hpp"

namespace wlm::bench {

namespace {

double SecondsSince(std::chrono::steady_clock::time_point start) {
	return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// The mean over some drawn parameters. Dashboards are cheap and vary with their parameters, so they get more runs.
Cost MeasureTemplate(const QueryTemplate& query_template, Connection& connection, const ServerProcesses& server, Random& random) {
	const int runs = query_template.purpose == Purpose::kDashboard ? 12 : 2;
	const auto cpu = [&] { return ServerProcesses::CpuOf(connection.BackendPid()) + server.CpuOfEndedChildren(); };
	Cost cost;
	const double cpu_before = cpu();
	for (int run = 0; run < runs; ++run) {
		const std::string text = query_template.Instantiate(random);
		const auto start = std::chrono::steady_clock::now();
		const Outcome outcome = connection.Execute(text);
		cost.wall_ms += SecondsSince(start) * 1000.0 / runs;
		if (!outcome.error.empty())
			throw std::runtime_error(query_template.name + ": " + outcome.error + "\n" + text);
	}
	// The postmaster counts a parallel worker's time when it has collected it.
	std::this_thread::sleep_for(std::chrono::milliseconds(10));
	// Clock ticks are too coarse for the cheapest.
	cost.cpu_ms = std::max(0.5 * cost.wall_ms, (cpu() - cpu_before) * 1000.0 / runs);
	return cost;
}

}  // namespace

int Calibrate(int argc, char** argv) {
	const Options options(argc, argv, {"templates", "postmaster", "seed", "out"});
	Connection connection("bench_driver", 120);
	const std::vector<QueryTemplate> templates = ReadTemplates(options.Need("templates"), ReadSizes(connection));
	const ServerProcesses server(options.Count("postmaster", 0));
	const uint64_t seed = static_cast<uint64_t>(options.Count("seed", 1));

	// Caches first, so that the cost of a template does not depend on its place in the file.
	PoolOptions warm;
	warm.clients = static_cast<int>(std::max(1L, sysconf(_SC_NPROCESSORS_ONLN)));
	warm.open_loop = false;
	RunClients(templates, BuildWarmUp(templates, 1, seed + 100), warm, [] {}, [](const Progress& progress) {
		std::printf("   filling the caches: %zu templates done\n", progress.finished);
	});

	// Let the postmaster collect the backends that did this, or the first template would be charged for them.
	std::this_thread::sleep_for(std::chrono::milliseconds(500));

	Costs costs;
	Random random(seed + 200);
	auto last_report = std::chrono::steady_clock::now();
	for (const QueryTemplate& query_template : templates) {
		costs[query_template.name] = MeasureTemplate(query_template, connection, server, random);
		if (SecondsSince(last_report) >= 3.0) {
			last_report = std::chrono::steady_clock::now();
			std::printf("   %zu of %zu templates measured alone\n", costs.size(), templates.size());
		}
	}
	WriteCosts(options.Need("out"), costs);
	return 0;
}

}  // namespace wlm::bench
