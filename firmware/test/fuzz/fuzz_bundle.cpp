// The plain text of a bundle, unescaped in place, and the CA in it.
#include "fuzz.h"

using namespace sim;

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static World w;
  std::vector<char> text(data, data + size);
  Bundle b;
  if (parse_bundle(w, text.data(), text.size(), &b)) {
    MUST(b.claim.hosts >= 1 && b.claim.hosts <= kMaxHosts && b.claim.port && strlen(b.claim.ca16) == 16);
    MUST(w.store["ca"].size() < kCaMax);
  }
  char ca16[17];
  const std::string pem(reinterpret_cast<const char*>(data), size);
  ca_save(w, pem.c_str(), pem.size(), ca16);
  return 0;
}
