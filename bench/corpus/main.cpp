// wlm_corpus: makes databases and queries that have nothing in common but PostgreSQL, to train and to judge a model of query time
// and memory on databases that it has never seen. README.md says what is random. The server is found through --dbname and the PG*
// environment.
#include <csignal>
#include <cstdio>
#include <exception>
#include <string>

#include "commands.hpp"

int main(int argc, char **argv)
{
	std::signal(SIGPIPE, SIG_IGN);
	const std::string command = argc > 1 ? argv[1] : "";
	try {
		if (command == "create")
			return wlm::corpus::Create(argc, argv);
		if (command == "queries")
			return wlm::corpus::Queries(argc, argv);
		if (command == "expand")
			return wlm::corpus::Expand(argc, argv);
		if (command == "run")
			return wlm::corpus::Run(argc, argv);
	} catch (const std::exception &error) {
		std::fprintf(stderr, "wlm_corpus %s: %s\n", command.c_str(), error.what());
		return 1;
	}
	std::fprintf(stderr, "usage: wlm_corpus create|queries|expand|run --option value ... (see README.md)\n");
	return 2;
}
