/*
 * The schema text: trace_events.def once more, as the lines from which every
 * reader builds itself (handouts/formats.md 1.3).
 */
#include "kernel/trace_schema.h"

#define V(prefix, word, number)  " " #number ":" #word
#define ENUM(name, values)       "enum " #name values "\n"
#define F(field, type)           " " #field ":" #type
#define EVENT(number, name, fields, doc) "event " #number " " #name fields " | " doc "\n"
#define EVENT_TEXT(number, name, fields, text, doc)                                                \
    "event " #number " " #name fields " " #text ":text | " doc "\n"

const char trace_schema[] = "nestling-schema 1\n"
#include "kernel/trace_events.def"
    ;
const u32 trace_schema_size = sizeof(trace_schema) - 1;
