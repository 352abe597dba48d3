/* Introspection XML as lines that can be compared: "method Agree arg 0 ay request in", sorted. */
#pragma once

enum { INTROSPECTION_TEXT_MAX = 16384 };

/* Describes `interface` as `xml` has it, into `ret` (INTROSPECTION_TEXT_MAX octets). Aborts the
 * test on XML that is beyond it. */
void interface_describe(const char *xml, const char *interface, char *ret);
