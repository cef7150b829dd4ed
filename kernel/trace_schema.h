/*
 * The text that describes every event, for the header of the trace.
 */
#ifndef KERNEL_TRACE_SCHEMA_H
#define KERNEL_TRACE_SCHEMA_H

#include "kernel/types.h"

extern const char trace_schema[];
extern const u32 trace_schema_size;

#endif
