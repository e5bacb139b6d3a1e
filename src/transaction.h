/* SPDX-License-Identifier: MIT */
/*
 * transaction.h - the journal of edits and the commit.
 */
#ifndef GMEM_SRC_TRANSACTION_H
#define GMEM_SRC_TRANSACTION_H

#include "listener.h"
#include "region.h"

/*
 * Give region new props, journalling the old ones. Inside a transaction. Takes references for props
 * (the caller's stay the caller's). -ENOMEM: nothing changed.
 */
int gmem__edit(gmem_region *region, const struct gmem__props *props) GMEM_MUST_CHECK;

/* End an edit's own transaction: commit it if err is 0, else abort it and return err. */
int gmem__edit_end(gmem_vm *vm, int err) GMEM_MUST_CHECK;

/* commit.c: render what the journal changed, tell the listeners, publish. On error nothing has changed. */
int gmem__commit(gmem_vm *vm) GMEM_MUST_CHECK;

#endif
