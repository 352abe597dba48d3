/* Well-formed payloads drawn at random: every form that RFC 7296 allows, up to our bounds. Views in
 * them are good until the process ends. */
#pragma once

#include "ikewire/payload.h"

void draw_sa(IkeSaPayload *sa);
void draw_id(IkeId *id);
void draw_notify(IkeNotify *notify);
void draw_delete(IkeDelete *delete_);
void draw_ts(IkeTs *ts);
void draw_cp(IkeCp *cp);
