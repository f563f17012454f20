// bench_driver: puts the retail workload on a PostgreSQL server and compares what came of it. ../README.md says how it measures;
// tools/demo and bench/memory are the callers. The server is found through PGHOST, PGPORT, PGUSER and PGDATABASE.
#include <csignal>
#include <cstdio>
#include <exception>
#include <string>

#include "commands.hpp"

int main(int argc, char** argv) {
	std::signal(SIGPIPE, SIG_IGN);
	std::setvbuf(stdout, nullptr, _IOLBF, 0);
	const std::string command = argc > 1 ? argv[1] : "";
	try {
		if (command == "calibrate")
			return wlm::bench::Calibrate(argc, argv);
		if (command == "measure")
			return wlm::bench::Measure(argc, argv);
		if (command == "compare")
			return wlm::bench::Compare(argc, argv);
		if (command == "memory")
			return wlm::bench::MemoryReport(argc, argv);
		if (command == "pairs")
			return wlm::bench::Pairs(argc, argv);
	} catch (const std::exception& error) {
		std::fprintf(stderr, "bench_driver %s: %s\n", command.c_str(), error.what());
		return 1;
	}
	std::fprintf(stderr, "usage: bench_driver calibrate|measure|compare|memory|pairs --option value ...\n");
	return 2;
}
