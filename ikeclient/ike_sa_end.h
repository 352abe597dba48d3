/* How an IKE SA ends, and who is told what becomes of it. */
#pragma once

#include "ikeclient/report.h"
#include "ikeclient/targets.h"

typedef struct IkeSa IkeSa;
typedef struct MadeIkeSa MadeIkeSa;

typedef enum IkeSaEnd {
    IKE_SA_FAILED,          /* it never came to be */
    IKE_SA_STOPPED,         /* by us */
    IKE_SA_DELETED_BY_PEER, /* step 7 */
    IKE_SA_LOST,            /* tred is gone or closed it, or the SeGW is silent */
} IkeSaEnd;

/* Why another IKE SA is to take the place of one that is up. */
typedef enum IkeSaDue {
    IKE_SA_DUE_LIFETIME, /* its authentication ends: when it is due says ike_sa_info() */
    IKE_SA_DUE_DEAF,     /* IKE is answered, and ESP does not come: a NAT may have forgotten us */
} IkeSaDue;

/* Handlers must not free the SA before they return to the event loop. */
typedef struct IkeSaHandlers {
    /* There is another answer to its IKE_SA_INIT request: ike_sa_new_rival() can follow it up. */
    void (*another)(void *userdata, IkeSa *sa);
    /* tred has agreed with who answered: IKE_AUTH follows. */
    void (*agreed)(void *userdata, IkeSa *sa);
    /* The SeGW is who answers this one, and not who answered its rivals. */
    void (*authentic)(void *userdata, IkeSa *sa);
    void (*established)(void *userdata, IkeSa *sa);
    void (*child_deleted)(void *userdata, IkeSa *sa); /* by the SeGW */
    /* There is a new IKE SA, which ike_sa_new_made() takes up. It is to have all that `sa` has
     * where it `inherits`, and whoever began the rekeying deletes `sa`; else it is redundant, and
     * whoever began it deletes it (RFC 7296 2.8.2). */
    void (*rekeyed)(void *userdata, IkeSa *sa, const MadeIkeSa *made, bool inherits);
    /* The SeGW does not rekey: only another authentication can replace the SA or its children. */
    void (*renew)(void *userdata, IkeSa *sa, const char *reason);
    void (*changed)(void *userdata, IkeSa *sa); /* what ike_sa_info() says of its children */
    void (*closed)(void *userdata, IkeSa *sa, IkeSaEnd end, const char *reason);
    /* The SeGW sends us to another one (RFC 5685); false: it has done so too often. */
    bool (*redirected)(void *userdata, IkeSa *sa, const Redirect *to);
    /* A step of the call flow; NULL: nobody wants to know. */
    void (*step)(void *userdata, const Step *step);
    /* A new authentication is due now or later, while this SA is still up. */
    void (*due)(void *userdata, IkeSa *sa, IkeSaDue why);
    /* Whether an address of this host's is an inner one of whatever IKE SA; NULL: there is none but
     * this one. */
    bool (*is_inner)(void *userdata, const Endpoint *address);
} IkeSaHandlers;
