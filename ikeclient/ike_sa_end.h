/* How an IKE SA ends, and who is told what becomes of it. */
#pragma once

#include "ikeclient/report.h"

typedef struct IkeSa IkeSa;

typedef enum IkeSaEnd {
    IKE_SA_FAILED,          /* it never came to be */
    IKE_SA_STOPPED,         /* by us */
    IKE_SA_DELETED_BY_PEER, /* step 7 */
    IKE_SA_LOST,            /* tred is gone or closed it, or the SeGW is silent */
} IkeSaEnd;

/* Handlers must not free the SA before they return to the event loop. */
typedef struct IkeSaHandlers {
    /* There is another answer to its IKE_SA_INIT request: ike_sa_new_rival() can follow it up. */
    void (*another)(void *userdata, IkeSa *sa);
    /* The SeGW is who answers this one, and not who answered its rivals. */
    void (*authentic)(void *userdata, IkeSa *sa);
    void (*established)(void *userdata, IkeSa *sa);
    void (*child_deleted)(void *userdata, IkeSa *sa); /* by the SeGW */
    void (*closed)(void *userdata, IkeSa *sa, IkeSaEnd end, const char *reason);
    /* A step of the call flow; NULL: nobody wants to know. */
    void (*step)(void *userdata, const Step *step);
} IkeSaHandlers;
