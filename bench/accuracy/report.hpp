/*
 * report.hpp
 *
 * Scores as tables for people (Markdown) and as JSON for programs.
 */
#pragma once

#include <span>
#include <string>

#include "evaluation.hpp"

namespace wlm::accuracy {

struct ReportInput {
	std::span<const Recording> recordings;
	const Evaluation *evaluation;
	std::string notes; /* lines "name: value": machine, commit, command */
};

std::string Markdown(const ReportInput &input);
std::string Json(const ReportInput &input);

}  // namespace wlm::accuracy
