/*
 * trees_json.hpp
 *
 * Just enough JSON to read what XGBoost has learned: strict, in memory. Numbers are floats,
 * as XGBoost prints its own: with as many digits as give the same float again.
 */
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace wlm::trainer {

struct Json {
	enum class Kind { kNull, kBool, kNumber, kString, kArray, kObject };
	Kind kind = Kind::kNull;
	float number = 0;            /* also 0 and 1 of a bool */
	std::string text;
	std::vector<float> numbers;  /* an array of numbers only; then `items` is empty */
	std::vector<Json> items;
	std::vector<std::pair<std::string, Json>> members;

	/* The member of that name; throws std::runtime_error if there is none. */
	const Json &At(std::string_view name) const;
};

/* Throws std::runtime_error. */
Json ParseJson(std::string_view text);

}  // namespace wlm::trainer
