#include "crypto.h"

#include <string.h>

#include <mbedtls/ecdsa.h>
#include <mbedtls/ecp.h>
#include <mbedtls/gcm.h>
#include <mbedtls/hkdf.h>
#include <mbedtls/md.h>
#include <mbedtls/platform_util.h>
#include <mbedtls/version.h>

// 2.28 keeps the old void functions under these names and calls the checked ones *_ret.
#if MBEDTLS_VERSION_MAJOR < 3
#define MAGICPI_SHA256(name) mbedtls_sha256_##name##_ret
#else
#define MAGICPI_SHA256(name) mbedtls_sha256_##name
#endif

namespace magicpi {

Sha256::Sha256() {
  mbedtls_sha256_init(&context_);
  restart();
}
Sha256::~Sha256() { mbedtls_sha256_free(&context_); }
void Sha256::restart() { MAGICPI_SHA256(starts)(&context_, 0); }
void Sha256::update(const uint8_t* data, size_t n) { MAGICPI_SHA256(update)(&context_, data, n); }
void Sha256::finish(uint8_t out[32]) { MAGICPI_SHA256(finish)(&context_, out); }

void sha256(const uint8_t* data, size_t n, uint8_t out[32]) {
  Sha256 hash;
  hash.update(data, n);
  hash.finish(out);
}

bool sha1(const uint8_t* data, size_t n, uint8_t out[20]) {
  const mbedtls_md_info_t* md = mbedtls_md_info_from_type(MBEDTLS_MD_SHA1);
  return md && mbedtls_md(md, data, n, out) == 0;
}

bool hkdf_sha256(const uint8_t* ikm, size_t ikm_len, const uint8_t* salt, size_t salt_len, const uint8_t* info,
                 size_t info_len, uint8_t* out, size_t out_len) {
  const mbedtls_md_info_t* md = mbedtls_md_info_from_type(MBEDTLS_MD_SHA256);
  return md && mbedtls_hkdf(md, salt, salt_len, ikm, ikm_len, info, info_len, out, out_len) == 0;
}

bool gcm_open(const uint8_t key[32], const uint8_t iv[12], const uint8_t* aad, size_t aad_len, const uint8_t* box,
              size_t n, uint8_t* plain) {
  mbedtls_gcm_context gcm;
  mbedtls_gcm_init(&gcm);
  const bool ok = mbedtls_gcm_setkey(&gcm, MBEDTLS_CIPHER_ID_AES, key, 256) == 0 &&
                  mbedtls_gcm_auth_decrypt(&gcm, n, iv, 12, aad, aad_len, box + n, 16, box, plain) == 0;
  mbedtls_gcm_free(&gcm);
  if (!ok) wipe(plain, n);
  return ok;
}

bool gcm_seal(const uint8_t key[32], const uint8_t iv[12], const uint8_t* aad, size_t aad_len, const uint8_t* plain,
              size_t n, uint8_t* box) {
  mbedtls_gcm_context gcm;
  mbedtls_gcm_init(&gcm);
  const bool ok = mbedtls_gcm_setkey(&gcm, MBEDTLS_CIPHER_ID_AES, key, 256) == 0 &&
                  mbedtls_gcm_crypt_and_tag(&gcm, MBEDTLS_GCM_ENCRYPT, n, iv, 12, aad, aad_len, plain, box, 16,
                                            box + n) == 0;
  mbedtls_gcm_free(&gcm);
  return ok;
}

namespace {

/// One DER INTEGER of at most 32 significant bytes, right-aligned into out; advances *p.
bool der_integer(const uint8_t** p, const uint8_t* end, uint8_t out[32]) {
  if (end - *p < 3 || (*p)[0] != 0x02) return false;
  size_t n = (*p)[1];
  *p += 2;
  if (n == 0 || n > 33 || static_cast<size_t>(end - *p) < n) return false;
  const uint8_t* v = *p;
  *p += n;
  if (v[0] & 0x80) return false;
  if (n > 1 && v[0] == 0) {
    if (!(v[1] & 0x80)) return false;
    ++v;
    --n;
  }
  if (n > 32) return false;
  memset(out, 0, 32);
  memcpy(out + 32 - n, v, n);
  return true;
}

}  // namespace

bool ecdsa_p256_verify(const uint8_t key[65], const uint8_t hash[32], const uint8_t* signature, size_t n) {
  uint8_t rs[64];
  if (n == 64) {
    memcpy(rs, signature, 64);
  } else {
    const uint8_t* p = signature;
    const uint8_t* end = signature + n;
    if (n < 8 || p[0] != 0x30 || p[1] != n - 2) return false;
    p += 2;
    if (!der_integer(&p, end, rs) || !der_integer(&p, end, rs + 32) || p != end) return false;
  }
  mbedtls_ecp_group group;
  mbedtls_ecp_point point;
  mbedtls_mpi r, s;
  mbedtls_ecp_group_init(&group);
  mbedtls_ecp_point_init(&point);
  mbedtls_mpi_init(&r);
  mbedtls_mpi_init(&s);
  const bool ok = mbedtls_ecp_group_load(&group, MBEDTLS_ECP_DP_SECP256R1) == 0 &&
                  mbedtls_ecp_point_read_binary(&group, &point, key, 65) == 0 &&
                  mbedtls_ecp_check_pubkey(&group, &point) == 0 && mbedtls_mpi_read_binary(&r, rs, 32) == 0 &&
                  mbedtls_mpi_read_binary(&s, rs + 32, 32) == 0 &&
                  mbedtls_ecdsa_verify(&group, hash, 32, &point, &r, &s) == 0;
  mbedtls_mpi_free(&s);
  mbedtls_mpi_free(&r);
  mbedtls_ecp_point_free(&point);
  mbedtls_ecp_group_free(&group);
  return ok;
}

void wipe(void* p, size_t n) { mbedtls_platform_zeroize(p, n); }

}  // namespace magicpi
