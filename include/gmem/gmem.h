/* SPDX-License-Identifier: MIT */
/* gmem/gmem.h - all of libgmem. (libgmem-kvm has its own header, gmem/kvm.h.) */
#ifndef GMEM_GMEM_H
#define GMEM_GMEM_H

#include <gmem/access.h>
#include <gmem/base.h>
#include <gmem/cache.h>
#include <gmem/device.h>
#include <gmem/dirty.h>
#include <gmem/discard.h>
#include <gmem/guard.h>
#include <gmem/hotplug.h>
#include <gmem/introspect.h>
#include <gmem/iommu.h>
#include <gmem/listener.h>
#include <gmem/map.h>
#include <gmem/ram.h>
#include <gmem/region.h>
#include <gmem/space.h>
#include <gmem/trace.h>
#include <gmem/vm.h>

#endif
