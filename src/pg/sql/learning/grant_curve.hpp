/*
 * grant_curve.hpp
 *
 * The value of memory for one statement: what it would be granted, and how long
 * it is predicted to take, at each level.
 */
#pragma once

#include "pg/sql/explain/explain_group.hpp"

namespace wlm {

struct CurveLevel {
	GrantLevel level;
	int64_t memory_kb;   /* reservation */
	Estimate time;       /* ln(ms) */
	double runs;         /* decayed number of outcomes */
	double temp_kb;      /* NaN = unknown */
	bool slower;
	bool chosen;
};

/* Fills `levels` from the least to the most; how many there are: one if nothing is lacking. */
int CurveOf(const StatementForecast &statement, CurveLevel (&levels)[kNumGrantLevels]);

/* A line for each level, or nothing if there is only one. */
void WriteCurveText(ExplainState *es, const StatementForecast &statement);

}  // namespace wlm
