/* What tred-verify does: takes in what it is handed, and answers requests (frames.h). */
#pragma once

#include "verify/frames.h"
#include "verify/peer.h"

/* Where the lists of a file stand in the store. */
typedef struct ServiceCrls {
    int first, count;
} ServiceCrls;

typedef struct Service {
    bool has_profile;
    PeerProfile profile;
    AnchorStore *anchors;
    CrlStore crls;
    size_t n_crl_files; /* that were handed over, whatever came of them */
    ServiceCrls crl_files[FRAME_CRL_FILES_MAX];
    bool has_told_obsolete, has_told_with_seen; /* which files nobody needs */
    bool complete;
    PeerSeen seen;
    Bytes chain_der[FRAME_CHAIN_MAX]; /* of the last answer, which borrows them */
} Service;

/* 0 or -ENOMEM. */
int service_init(Service *service);
void service_deinit(Service *service);

/* Answers a request; `fd` is the descriptor that came with it, or -1. What it can't do stands in
 * the answer, whose views live until the next call. */
void service_answer(Service *service, const VerifyRequest *request, int fd, VerifyAnswer *ret);
