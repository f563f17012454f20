// The command line: `bench_driver COMMAND --name value ...`. Every option is known; an unknown one is an error.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace wlm::bench {

class Options {
  public:
	// Raises std::runtime_error for an option that is not in `known` or has no value.
	Options(int argc, char** argv, const std::vector<std::string>& known);

	std::string Get(const std::string& name, const std::string& otherwise = "") const;
	double Number(const std::string& name, double otherwise) const;
	int Count(const std::string& name, int otherwise) const;

	// Raises std::runtime_error if it was not given.
	std::string Need(const std::string& name) const;

  private:
	std::map<std::string, std::string> values_;
};

}  // namespace wlm::bench
