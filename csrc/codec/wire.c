/*
** The hash that seals dumps; see wire.h. Any thread.
*/
#include "codec/wire.h"

static uint64_t mixed(uint64_t h) {
  h ^= h >> 32;
  h *= UINT64_C(0xd6e8feb86659fd93);
  h ^= h >> 29;
  return h;
}

uint64_t ccp_wire_hash(const void *p, size_t len) {
  const unsigned char *s = p;
  uint64_t h = mixed((uint64_t)len ^ ((uint64_t)CCP_WIRE_VERSION << 56));
  for (; len >= 8; s += 8, len -= 8)
    h = mixed(h ^ ccp_wire_fetch(s, 8)) * UINT64_C(0x9e3779b97f4a7c15);
  if (len > 0)
    h = mixed(h ^ ccp_wire_fetch(s, len)) * UINT64_C(0x9e3779b97f4a7c15);
  return mixed(h);
}
