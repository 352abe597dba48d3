/* The policy that a device key is under, from the files beside it. */
#pragma once

#include "base/reason.h"
#include "policy/keypolicy.h"
#include "policy/tss2key.h"
#include "provisioning/command.h"

/* The kind is read off the key; the vendor's policy key and the states approved of are the files of
 * the state folder. *ret is the caller's to key_policy_free(). 0, or -errno with `reason`. */
int device_policy_read(const ProvisionOptions *options, const Tss2Key *key, KeyPolicy **ret,
                       Reason *reason);

/* The authPolicy that the profile asks for: *ret_needed is false for none. The files are those of
 * the profile. 0, or -errno with `reason`. */
int device_policy_wanted(const ProvisionOptions *options, PolicyDigest *ret, bool *ret_needed,
                         Reason *reason);
