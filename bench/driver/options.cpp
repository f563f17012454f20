// See options.hpp.
#include "options.hpp"

#include <algorithm>
#include <cstdlib>
#include <stdexcept>

namespace wlm::bench {

Options::Options(int argc, char** argv, const std::vector<std::string>& known) {
	for (int i = 2; i < argc; i += 2) {
		const std::string name = argv[i];
		if (name.rfind("--", 0) != 0 || std::find(known.begin(), known.end(), name.substr(2)) == known.end())
			throw std::runtime_error("unknown option " + name);
		if (i + 1 >= argc)
			throw std::runtime_error("no value for " + name);
		values_[name.substr(2)] = argv[i + 1];
	}
}

std::string Options::Get(const std::string& name, const std::string& otherwise) const {
	const auto found = values_.find(name);
	return found == values_.end() ? otherwise : found->second;
}

double Options::Number(const std::string& name, double otherwise) const {
	const std::string text = Get(name);
	if (text.empty())
		return otherwise;
	char* end = nullptr;
	const double value = std::strtod(text.c_str(), &end);
	if (*end != '\0' || !(value >= 0.0))
		throw std::runtime_error("--" + name + " must be a number of at least 0, not " + text);
	return value;
}

int Options::Count(const std::string& name, int otherwise) const {
	return static_cast<int>(Number(name, otherwise));
}

std::string Options::Need(const std::string& name) const {
	const auto found = values_.find(name);
	if (found == values_.end())
		throw std::runtime_error("--" + name + " is missing");
	return found->second;
}

}  // namespace wlm::bench
