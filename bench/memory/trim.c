/*
 * trim.c
 *
 * For bench/memory/trim: SQL functions that look at their own backend's memory and call malloc_trim()
 * there, so that its cost is measured on a heap that real queries have left. Not part of the extension.
 */
#include <malloc.h>
#include <stdio.h>

#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "portability/instr_time.h"

PG_MODULE_MAGIC;

static int64
RssAnonKb(void)
{
	char		line[256];
	long		kb = 0;
	FILE	   *file = fopen("/proc/self/status", "r");

	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
	{
		if (sscanf(line, "RssAnon: %ld", &kb) == 1)
			break;
	}
	if (file != NULL)
		fclose(file);
	return kb;
}

/* bench_rss() returns bigint: anonymous memory of this backend, kB */
PG_FUNCTION_INFO_V1(bench_rss);
Datum
bench_rss(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(RssAnonKb());
}

/* bench_trim() returns float8: milliseconds that malloc_trim(0) takes */
PG_FUNCTION_INFO_V1(bench_trim);
Datum
bench_trim(PG_FUNCTION_ARGS)
{
	instr_time	start;
	instr_time	end;

	INSTR_TIME_SET_CURRENT(start);
	malloc_trim(0);
	INSTR_TIME_SET_CURRENT(end);
	INSTR_TIME_SUBTRACT(end, start);
	PG_RETURN_FLOAT8(INSTR_TIME_GET_MILLISEC(end));
}
