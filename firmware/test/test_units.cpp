// Vectors and corner cases of the parts.
#include <doctest/doctest.h>

#include "../magicpi_cam/src/core/qr.h"
#include "../magicpi_cam/src/core/exchange.h"
#include "jpegs.h"
#include "sim.h"

using namespace sim;

namespace {

Bytes unhex(const std::string& text) {
  Bytes out(text.size() / 2);
  REQUIRE(hex_decode(text.c_str(), out.data(), out.size()));
  return out;
}

std::string hex(const uint8_t* p, size_t n) {
  std::string out(2 * n + 1, 0);
  hex_encode(p, n, &out[0]);
  out.resize(2 * n);
  return out;
}

/// Values point into the text, so the text is kept.
json::Value parse(const std::string& s) {
  static std::deque<std::string> texts;
  texts.push_back(s);
  return json::parse(texts.back().data(), s.size());
}

/// Takes at most `step` bytes a call, every other call none.
class Trickle final : public Transport {
 public:
  explicit Trickle(size_t step) : step_(step) {}
  bool dial(const Dial&) override { return dialable; }
  IoStatus poll() override { return status; }
  IoError error() const override { return IoError::None; }
  int write(const uint8_t* p, size_t n) override {
    if (dead) return -1;
    if ((calls_++ & 1) && step_ < 4096) return 0;
    n = std::min(n, step_);
    out.insert(out.end(), p, p + n);
    return static_cast<int>(n);
  }
  int read(uint8_t* p, size_t n) override {
    if (in.empty()) return ended ? -1 : 0;
    n = std::min(std::min(n, in.size()), step_);
    memcpy(p, in.data(), n);
    in.erase(in.begin(), in.begin() + static_cast<long>(n));
    return static_cast<int>(n);
  }
  size_t save_session(uint8_t*, size_t) override { return 0; }
  bool resumed() const override { return false; }
  void close() override { closed = true; }
  Bytes out, in;
  bool dead = false, ended = false, closed = false, dialable = true;
  IoStatus status = IoStatus::Connecting;

 private:
  size_t step_;
  unsigned calls_ = 0;
};

struct ClientFrame {
  uint8_t head;
  Bytes payload;
  uint32_t key;
};

/// What a server reads from masked client frames.
std::vector<ClientFrame> unmask(const Bytes& b) {
  std::vector<ClientFrame> out;
  for (size_t at = 0; at < b.size();) {
    ClientFrame f;
    f.head = b[at];
    REQUIRE((b[at + 1] & 0x80));
    size_t n = b[at + 1] & 0x7f;
    at += 2;
    if (n == 126) {
      n = get_be16(&b[at]);
      at += 2;
    }
    f.key = get_be32(&b[at]);
    for (size_t i = 0; i < n; ++i) f.payload.push_back(b[at + 4 + i] ^ b[at + (i & 3)]);
    at += 4 + n;
    out.push_back(f);
  }
  return out;
}

}  // namespace

TEST_CASE("json: values, escapes, numbers") {
  const json::Value v = parse(" {\"a\" : [1, -2, 3.5, 1e3, true, false, null, \"x\\u00e9\\ud83d\\ude00\\n\"], \"b\":{\"c\":\"\"}, \"a\":9} ");
  REQUIRE(v.is(json::Kind::Object));
  uint32_t u = 0;
  int32_t i = 0;
  bool b = false;
  char text[16];
  CHECK(v.get("a").at(0).to_u32(&u));
  CHECK(u == 1);
  CHECK(!v.get("a").at(1).to_u32(&u));
  CHECK(v.get("a").at(1).to_i32(&i));
  CHECK(i == -2);
  CHECK(!v.get("a").at(2).to_i32(&i));
  CHECK(!v.get("a").at(3).to_u32(&u));
  CHECK(v.get("a").at(4).to_bool(&b));
  CHECK(b);
  CHECK(!v.get("a").at(6).to_bool(&b));
  CHECK(v.get("a").at(7).to_string(text, sizeof text));
  CHECK(std::string(text) == "x\xc3\xa9\xf0\x9f\x98\x80\n");
  CHECK(!v.get("a").at(7).to_string(text, 8));
  CHECK(!v.get("a").at(8));
  CHECK(!v.at(0));
  CHECK(v.get("b").get("c").equals(""));
  CHECK(!v.get("b").get("d"));
  CHECK(!v.get("b").at(0));
  CHECK(v.get("b").get("c").copy_raw(text, sizeof text));
  CHECK(std::string(text) == "\"\"");
  CHECK(!v.get("zz").copy_raw(text, sizeof text));
  CHECK(!v.copy_raw(text, sizeof text));
  uint64_t big = 0;
  CHECK(parse("18446744073709551615").to_u64(&big));
  CHECK(big == UINT64_MAX);
  CHECK(!parse("18446744073709551616").to_u64(&big));
  CHECK(!parse("4294967296").to_u32(&u));
  CHECK(!parse("2147483648").to_i32(&i));
  CHECK(!parse("\"1\"").to_i32(&i));
  CHECK(!parse("\"1\"").to_u64(&big));
  CHECK(!parse("\"a\\u0000\"").to_string(text, sizeof text));
  CHECK(!parse("1").equals("1"));
  CHECK(!parse("\"ab\"").equals("a"));
  CHECK(!parse("\"a\"").equals("ab"));
  std::string place = "\"a\\/\\\\b\\t\\u0041\"";
  char* out = nullptr;
  size_t n = 0;
  json::Value in_place = parse(place);
  CHECK(in_place.to_string_in_place(&out, &n));
  CHECK(std::string(out, n) == "a/\\b\tA");
  json::Value number = parse("1");
  CHECK(!number.to_string_in_place(&out, &n));
}

TEST_CASE("json: what is none") {
  for (const char* bad : {"", " ", "{", "}", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "[1,]", "[1 2]", "01", "-", "1.", "1e", "1e+", ".5", "+1", "tru",
                          "nul", "fals", "\"", "\"\\x\"", "\"\\u12\"", "\"\\ud800\"", "\"\\ud800\\u0041\"", "\"\\udc00\"", "\"\x01\"", "\"\xff\"",
                          "\"\xc0\x80\"", "\"\xed\xa0\x80\"", "\"\xe0\x80\x80\"", "\"\xf0\x80\x80\x80\"", "\"\xf4\x90\x80\x80\"", "\"\xf5\"", "\"\xe2\x82\"",
                          "1 1", "{a:1}", "'a'", "[[[[[[[[[1]]]]]]]]]", "\"\\", "{\"a\":1", "[1", "{1:2}"}) {
    CAPTURE(bad);
    CHECK(!parse(bad));
  }
  CHECK(parse("[[[[[[[1]]]]]]]"));
  CHECK(parse("\"\xf0\x9f\x98\x80\xe2\x82\xac\xc2\xa9\""));
  CHECK(parse("-0.5e-7"));
  CHECK(parse("{}"));
  CHECK(parse("[]"));
}

TEST_CASE("json: writer") {
  char out[128];
  json::Writer w(out, sizeof out);
  w.begin().str("s", "a\"\\\x01\xc3\xa9\xff").num("n", INT64_MIN).boolean("b", false).null("z").begin("o").end();
  w.begin_array("a").element("x").element("y").end_array().num("e", 0).end();
  const size_t n = w.finish();
  CHECK(n == strlen(out));
  CHECK(std::string(out) == "{\"s\":\"a\\\"\\\\\\u0001\xc3\xa9?\",\"n\":-9223372036854775808,\"b\":false,\"z\":null,\"o\":{},\"a\":[\"x\",\"y\"],\"e\":0}");
  for (size_t cap = 0; cap < 20; ++cap) {
    char small[21];
    memset(small, 'Z', sizeof small);
    json::Writer v(small, cap);
    v.begin().str("key", "0123456789").end();
    CHECK(v.finish() == 0);
    CHECK(small[cap] == 'Z');
  }
}

TEST_CASE("codec") {
  CHECK(crc32(reinterpret_cast<const uint8_t*>("123456789"), 9) == 0xcbf43926);
  CHECK(crc32(reinterpret_cast<const uint8_t*>("6789"), 4, crc32(reinterpret_cast<const uint8_t*>("12345"), 5)) == 0xcbf43926);
  // RFC 4648 section 10.
  const char* plain[] = {"", "f", "fo", "foo", "foob", "fooba", "foobar"};
  const char* coded[] = {"", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"};
  for (int i = 0; i < 7; ++i) {
    char out[16];
    const size_t n = strlen(plain[i]);
    CHECK(base64_encode(reinterpret_cast<const uint8_t*>(plain[i]), n, out, sizeof out) == strlen(coded[i]));
    CHECK(std::string(out) == coded[i]);
    uint8_t back[8];
    size_t got = 99;
    CHECK(base64_decode(coded[i], strlen(coded[i]), back, sizeof back, &got));
    CHECK(got == n);
    CHECK(memcmp(back, plain[i], n) == 0);
    base64url_encode(reinterpret_cast<const uint8_t*>(plain[i]), n, out, sizeof out);
    CHECK(std::string(out) == std::string(coded[i]).substr(0, strcspn(coded[i], "=")));
    if (n) {
      CHECK(!base64_decode(coded[i], strlen(coded[i]), back, n - 1, &got));
      CHECK(base64_encode(back, n, out, strlen(coded[i])) == 0);
    }
  }
  uint8_t b[8];
  size_t n = 0;
  for (const char* bad : {"Z", "Zg=", "Zg===", "Z===", "Zh==", "Zm9v!", "Zm9=v", "===="}) {
    CAPTURE(bad);
    CHECK(!base64_decode(bad, strlen(bad), b, sizeof b, &n));
  }
  CHECK(base64_decode("-_-_", 4, b, sizeof b, &n));
  CHECK(base64_encode(nullptr, 0, nullptr, 0) == 0);
  CHECK(!hex_decode("0g", b, 1));
  CHECK(!hex_decode("g0", b, 1));
  CHECK(hex_decode("aF", b, 1));
  CHECK(b[0] == 0xaf);
  char small[4];
  CHECK(!copy_string(small, sizeof small, "abcd"));
  CHECK(small[0] == 0);
  CHECK(!copy_string(small, 0, ""));
  CHECK(equal_constant_time(b, b, 8));
  CHECK(compare_versions("1.2.3", "1.2.3") == 0);
  CHECK(compare_versions("1.10", "1.9.9") > 0);
  CHECK(compare_versions("1.2", "1.2.0") == 0);
  CHECK(compare_versions("1.2.0-beta", "1.2.0") < 0);
  CHECK(compare_versions("1.2.0", "1.2.0-beta") > 0);
  CHECK(compare_versions("1.2.0-a", "1.2.0-b") < 0);
  CHECK(compare_versions("1.2.0-b", "1.2.0-a") > 0);
  CHECK(compare_versions("1.2-a", "1.2.1") < 0);
  CHECK(compare_versions("1.2.1", "1.2-a") > 0);
}

TEST_CASE("blobs") {
  uint8_t blob[32];
  BlobWriter w(blob, sizeof blob, 3);
  w.u16(0x1234);
  w.string("hi");
  const size_t n = w.finish();
  REQUIRE(n == 1 + 2 + 3 + 4);
  char text[4];
  BlobReader r(blob, n, 3);
  CHECK(r.u16() == 0x1234);
  r.string(text, sizeof text);
  CHECK(std::string(text) == "hi");
  CHECK(r.done());
  CHECK(r.u32() == 0);
  CHECK(!r.ok());
  CHECK(!BlobReader(blob, n, 4).ok());
  CHECK(!BlobReader(blob, 3, 3).ok());
  for (size_t i = 0; i < n; ++i) {
    blob[i] ^= 1;
    CHECK(!BlobReader(blob, n, 3).ok());
    blob[i] ^= 1;
  }
  BlobReader tight(blob, n, 3);
  tight.u16();
  tight.string(text, 2);
  CHECK(!tight.ok());
  BlobWriter full(blob, 6, 1);
  full.u32(1);
  CHECK(full.finish() == 0);
}

TEST_CASE("HKDF-SHA256: RFC 5869 test cases 1 to 3, and not a byte too many") {
  auto run = [](const Bytes& ikm, const Bytes& salt, const Bytes& info, const std::string& okm) {
    const size_t n = okm.size() / 2;
    Bytes out(n + 8, 0xee);
    REQUIRE(hkdf_sha256(ikm.data(), ikm.size(), salt.data(), salt.size(), info.data(), info.size(), out.data(), n));
    CHECK(hex(out.data(), n) == okm);
    for (size_t i = n; i < out.size(); ++i) CHECK(out[i] == 0xee);
  };
  auto range = [](int from, int to) {
    Bytes b;
    for (int i = from; i <= to; ++i) b.push_back(static_cast<uint8_t>(i));
    return b;
  };
  run(Bytes(22, 0x0b), range(0, 12), range(0xf0, 0xf9),
      "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
  run(range(0, 0x4f), range(0x60, 0xaf), range(0xb0, 0xff),
      "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71"
      "cc30c58179ec3e87c14c01d5c1f3434f1d87");
  run(Bytes(22, 0x0b), {}, {}, "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
}

TEST_CASE("AES-256-GCM: test cases 14 and 16 of the GCM specification") {
  struct Case {
    const char *key, *iv, *aad, *plain, *cipher, *tag;
  };
  const Case cases[] = {
      {"0000000000000000000000000000000000000000000000000000000000000000", "000000000000000000000000", "",
       "00000000000000000000000000000000", "cea7403d4d606b6e074ec5d3baf39d18", "d0d1c8a799996bf0265b98b5d48ab919"},
      {"feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
       "feedfacedeadbeeffeedfacedeadbeefabaddad2",
       "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
       "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
       "76fc6ece0f4e1768cddf8853bb2d551b"}};
  for (const Case& c : cases) {
    const Bytes key = unhex(c.key), iv = unhex(c.iv), aad = unhex(c.aad), plain = unhex(c.plain);
    Bytes box = unhex(std::string(c.cipher) + c.tag);
    Bytes out(box.size() + 4, 0xee);
    REQUIRE(gcm_seal(key.data(), iv.data(), aad.data(), aad.size(), plain.data(), plain.size(), out.data()));
    CHECK(hex(out.data(), box.size()) == std::string(c.cipher) + c.tag);
    CHECK(out[box.size()] == 0xee);
    Bytes open(plain.size() + 1, 0xee);
    REQUIRE(gcm_open(key.data(), iv.data(), aad.data(), aad.size(), box.data(), plain.size(), open.data()));
    CHECK(memcmp(open.data(), plain.data(), plain.size()) == 0);
    CHECK(open[plain.size()] == 0xee);
    box[0] ^= 1;
    CHECK(!gcm_open(key.data(), iv.data(), aad.data(), aad.size(), box.data(), plain.size(), open.data()));
    CHECK(std::all_of(open.begin(), open.end() - 1, [](uint8_t b) { return b == 0; }));
  }
}

TEST_CASE("ECDSA P-256: the signature of RFC 6979 A.2.5, raw and DER") {
  const Bytes key = unhex("0460FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB67903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299");
  const std::string r = "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716";
  const std::string s = "F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8";
  uint8_t hash[32];
  sha256(reinterpret_cast<const uint8_t*>("sample"), 6, hash);
  Bytes raw = unhex(r + s);
  CHECK(ecdsa_p256_verify(key.data(), hash, raw.data(), raw.size()));
  Bytes der = unhex("3046022100" + r + "022100" + s);
  CHECK(ecdsa_p256_verify(key.data(), hash, der.data(), der.size()));
  CHECK(!ecdsa_p256_verify(key.data(), hash, der.data(), der.size() - 1));
  for (size_t i = 0; i < der.size(); ++i) {
    der[i] ^= 0x80;
    CHECK(!ecdsa_p256_verify(key.data(), hash, der.data(), der.size()));
    der[i] ^= 0x80;
  }
  raw[5] ^= 1;
  CHECK(!ecdsa_p256_verify(key.data(), hash, raw.data(), raw.size()));
  raw[5] ^= 1;
  hash[0] ^= 1;
  CHECK(!ecdsa_p256_verify(key.data(), hash, raw.data(), raw.size()));
  Bytes elsewhere = key;
  elsewhere[64] ^= 1;  // not on the curve
  hash[0] ^= 1;
  CHECK(!ecdsa_p256_verify(elsewhere.data(), hash, raw.data(), raw.size()));
  for (const char* bad : {"3006020101020101", "300602020001020101", "3007020200010201ff", "300802030000010201" "01", "30060200020101ff"}) {
    const Bytes d = unhex(bad);
    CHECK(!ecdsa_p256_verify(key.data(), hash, d.data(), d.size()));
  }
}

TEST_CASE("WebSocket accept: the example of RFC 6455 section 1.3") {
  char out[32];
  CHECK(websocket_accept("dGhlIHNhbXBsZSBub25jZQ==", out, sizeof out));
  CHECK(std::string(out) == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  CHECK(!websocket_accept(std::string(60, 'x').c_str(), out, sizeof out));
}

TEST_CASE("RFC 6455 reader: examples of section 5.7 and what a client must refuse, in pieces of any size") {
  using E = WsReader::Event;
  struct Case {
    const char* hex;
    std::vector<E> events;
    uint16_t code;
    const char* text;
  };
  const std::string long_text = "817e0100" + hex(Bytes(256, 'a').data(), 256);
  const std::string too_long = "817e0800" + hex(Bytes(2048, 'a').data(), 2048);
  const std::string binary_64k = "827f0000000000010000" + hex(Bytes(65536, 7).data(), 65536);
  const std::string reason = "880f" + std::string("0fa3") + hex(reinterpret_cast<const uint8_t*>("key revoked!!"), 13);
  const Case cases[] = {
      {"810548656c6c6f", {E::Text}, 0, "Hello"},
      {"010348656c80026c6f", {E::Text}, 0, "Hello"},
      {"010348656c" "890161" "00016c" "8a00" "80016f", {E::Ping, E::Pong, E::Text}, 0, "Hello"},
      {"890548656c6c6f", {E::Ping}, 0, nullptr},
      {"8100", {E::Text}, 0, ""},
      {"01008000", {E::Text}, 0, ""},
      {long_text.c_str(), {E::Text}, 0, nullptr},
      {too_long.c_str(), {E::Skipped}, 0, nullptr},
      {binary_64k.c_str(), {E::Skipped}, 0, nullptr},
      {"8103e282ac", {E::Text}, 0, "\xe2\x82\xac"},
      {"0101e2" "8002" "82ac", {E::Text}, 0, "\xe2\x82\xac"},   // a character across fragments
      {"8800", {E::Close}, 1005, nullptr},
      {"880203e8", {E::Close}, 1000, nullptr},
      {reason.c_str(), {E::Close}, 4003, nullptr},
      {"880203e8810141", {E::Close}, 1000, nullptr},              // nothing counts behind a close
      {"818548656c6c6f0000000000", {E::Error}, 1002, nullptr},    // masked by the server
      {"c10141", {E::Error}, 1002, nullptr},                      // RSV1
      {"a10141", {E::Error}, 1002, nullptr},
      {"910141", {E::Error}, 1002, nullptr},
      {"830141", {E::Error}, 1002, nullptr},                      // reserved opcodes
      {"8b00", {E::Error}, 1002, nullptr},
      {"090141", {E::Error}, 1002, nullptr},                      // fragmented control frame
      {"897e007e", {E::Error}, 1002, nullptr},                    // long control frame
      {"800141", {E::Error}, 1002, nullptr},                      // continuation of nothing
      {"010141810142", {E::Error}, 1002, nullptr},                // new message inside a message
      {"817e007d", {E::Error}, 1002, nullptr},                    // length not minimal
      {"817f000000000000ffff", {E::Error}, 1002, nullptr},
      {"817f8000000000000000", {E::Error}, 1002, nullptr},
      {"8102c328", {E::Error}, 1007, nullptr},                    // no UTF-8
      {"880103", {E::Error}, 1002, nullptr},                      // close with one byte
      {"880203ed", {E::Error}, 1002, nullptr},                    // 1005 on the wire
      {"880203e7", {E::Error}, 1002, nullptr},                    // 999
      {"88021388", {E::Error}, 1002, nullptr},                    // 5000
      {"880403e8c328", {E::Error}, 1007, nullptr},
  };
  for (const Case& c : cases) {
    const Bytes data = unhex(c.hex);
    for (size_t step : {size_t{1}, size_t{3}, size_t{1000000}}) {
      CAPTURE(std::string(c.hex).substr(0, 40));
      char buffer[512];
      WsReader r(buffer, sizeof buffer);
      std::vector<E> events;
      for (size_t at = 0; at < data.size();) {
        E e = E::None;
        at += r.feed(data.data() + at, std::min(step, data.size() - at), &e);
        if (e != E::None) events.push_back(e);
        if (e == E::Text && c.text) CHECK(std::string(r.text(), r.text_length()) == c.text);
      }
      CHECK(events == c.events);
      CHECK(r.close_code() == c.code);
      r.reset();
      CHECK(r.close_code() == 0);
    }
  }
}

TEST_CASE("RFC 6455 writer: masked in place, short writes, pongs between fragments, fresh keys") {
  for (size_t step : {size_t{1}, size_t{7}, size_t{100}, size_t{100000}}) {
    World w;
    std::vector<uint8_t> memory(200 * 1024);
    FrameRing ring(w, memory.data(), memory.size());
    WsWriter writer(w, ring);
    Trickle t(step);
    Bytes jpeg(40000);
    for (size_t i = 0; i < jpeg.size(); ++i) jpeg[i] = static_cast<uint8_t>(i * 31);
    FrameInfo info;
    info.seq = 1;
    info.length = static_cast<uint32_t>(jpeg.size());
    REQUIRE(ring.add(info, jpeg.data()));
    CHECK(writer.text("{\"first\":1}", 11));
    CHECK(!writer.idle_for_frame());
    uint16_t sent = 0;
    while (writer.pump(t, &sent) != WsWriter::Progress::Idle && !writer.empty()) {
    }
    CHECK(writer.idle_for_frame());
    uint8_t header[24];
    const uint16_t f = ring.take();
    REQUIRE(f != FrameRing::kNone);
    frame_header(ring.info(f), 0, header);
    writer.frame(f, header);
    writer.text(std::string(300, 'x').c_str(), 300);
    bool ponged = false;
    for (int i = 0; i < 1000000 && sent != f; ++i) {
      if (!ponged && t.out.size() > 20000) {
        ponged = true;
        CHECK(writer.control(WsOp::Pong, reinterpret_cast<const uint8_t*>("hi"), 2));
      }
      REQUIRE(writer.pump(t, &sent) != WsWriter::Progress::Dead);
    }
    ring.sent(f);
    writer.close(1000, "bye");
    while (!writer.empty()) writer.pump(t, &sent);
    const auto frames = unmask(t.out);
    std::string heads;
    Bytes whole;
    std::set<uint32_t> keys;
    for (const ClientFrame& c : frames) {
      heads += hex(&c.head, 1) + " ";
      keys.insert(c.key);
      if ((c.head & 0x0f) == 2 || (c.head & 0x0f) == 0) whole.insert(whole.end(), c.payload.begin(), c.payload.end());
    }
    if (step < 100000) CHECK(heads == "81 02 00 8a 80 88 81 ");
    CHECK(keys.size() == frames.size());
    CHECK(Bytes(whole.begin() + 24, whole.end()) == jpeg);
    // Sent again after a reconnect: the same bytes.
    ring.rewind();
    writer.reset();
    const uint16_t again = ring.take();
    REQUIRE(again == f);
    Trickle u(1000);
    writer.frame(again, header);
    sent = FrameRing::kNone;
    writer.pump(u, &sent);
    writer.reset();  // died in the middle
    REQUIRE(ring.take() == f);
    writer.frame(f, header);
    u.out.clear();
    sent = FrameRing::kNone;
    while (sent != f) writer.pump(u, &sent);
    whole.clear();
    for (const ClientFrame& c : unmask(u.out)) whole.insert(whole.end(), c.payload.begin(), c.payload.end());
    CHECK(Bytes(whole.begin() + 24, whole.end()) == jpeg);
  }
  World w;
  FrameRing none(w, nullptr, 0);
  WsWriter writer(w, none);
  CHECK(!writer.text(nullptr, 4000));
  CHECK(!writer.control(WsOp::Ping, nullptr, 126));
  uint8_t p[125] = {0};
  int queued = 0;
  while (writer.control(WsOp::Ping, p, sizeof p)) ++queued;
  CHECK(queued == 3);
  Trickle dead(1);
  dead.dead = true;
  uint16_t sent = 0;
  CHECK(writer.pump(dead, &sent) == WsWriter::Progress::Dead);
}

TEST_CASE("HTTP responses in pieces") {
  auto feed = [](HttpResponse& r, const std::string& s, size_t step) {
    size_t at = 0;
    while (at < s.size() && r.stage() == HttpResponse::Stage::Head) {
      at += r.feed(reinterpret_cast<const uint8_t*>(s.data()) + at, std::min(step, s.size() - at));
    }
    return at;
  };
  const std::string good = "HTTP/1.1 101 Switching Protocols\r\nupgrade: WebSocket\r\nCONNECTION: keep-alive, Upgrade\r\nSec-WebSocket-Accept: abc= \r\n"
                           "Sec-WebSocket-Protocol: magicpi.v1\r\nX-Long: " + std::string(500, 'x') + "\r\nRetry-After: 12\r\n\r\n";
  for (size_t step : {size_t{1}, size_t{1000000}}) {
    HttpResponse r;
    CHECK(feed(r, good + "tail", step) == good.size());
    CHECK(r.stage() == HttpResponse::Stage::Body);
    CHECK(r.status == 101);
    CHECK(r.upgrade_websocket);
    CHECK(r.connection_upgrade);
    CHECK(std::string(r.accept) == "abc=");
    CHECK(std::string(r.protocol) == "magicpi.v1");
    CHECK(r.retry_after_s == 12);
  }
  HttpResponse r;
  feed(r, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 206 P\nContent-Length: 7\nContent-Range: bytes 5-11/12\nSec-WebSocket-Extensions: x\n\n", 1);
  CHECK(r.status == 206);
  CHECK(r.content_length == 7);
  CHECK(r.range_start == 5);
  CHECK(r.extensions);
  for (const char* bad : {"HTTP/2 200\r\n\r\n", "\r\n\r\n", "HTTP/1.1 9 x\r\n\r\n", "HTTP/1.1 999 x\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
                          "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                          "HTTP/1.1 200 OK\r\nContent-Range: pages 1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", "nonsense\r\n\r\n"}) {
    CAPTURE(bad);
    HttpResponse b;
    feed(b, bad, 1);
    CHECK(b.stage() == HttpResponse::Stage::Error);
  }
  HttpResponse endless;
  feed(endless, "HTTP/1.1 200 OK\r\n" + std::string(9000, 'a'), 100);
  CHECK(endless.stage() == HttpResponse::Stage::Error);
  char out[80];
  HttpRequest q(out, sizeof out, "PUT", "/x", "h");
  CHECK(q.header("N", 1234u).finish("{}", 2) == strlen("PUT /x HTTP/1.1\r\nHost: h\r\nN: 1234\r\nContent-Length: 2\r\n\r\n{}"));
  HttpRequest tight(out, 10, "PUT", "/x", "h");
  CHECK(tight.finish() == 0);
}

TEST_CASE("exchange: time limits and broken answers") {
  World w;
  w.adopt();
  char buffer[256];
  Trickle t(10);
  Exchange e(w, t, buffer, sizeof buffer);
  const Dial d{"h", 1, "n", "ca", nullptr, 0};
  CHECK(e.poll() == Exchange::Phase::Idle);
  t.dialable = false;
  CHECK(!e.dial(d));
  t.dialable = true;
  REQUIRE(e.dial(d));
  CHECK(e.poll() == Exchange::Phase::Dialing);
  w.now += 5001;
  CHECK(e.poll() == Exchange::Phase::Failed);
  REQUIRE(e.dial(d));
  t.status = IoStatus::Handshaking;
  w.now += 14000;
  CHECK(e.poll() == Exchange::Phase::Dialing);
  w.now += 2000;
  CHECK(e.poll() == Exchange::Phase::Failed);
  REQUIRE(e.dial(d));
  t.status = IoStatus::Open;
  CHECK(e.poll() == Exchange::Phase::Ready);
  memset(buffer, 'x', 30);
  e.send(30);
  CHECK(e.poll() == Exchange::Phase::Writing);
  while (e.poll() == Exchange::Phase::Writing) {
  }
  CHECK(t.out.size() == 30);
  CHECK(e.poll() == Exchange::Phase::Head);
  const std::string answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel";
  t.in.assign(answer.begin(), answer.end());
  while (e.poll() == Exchange::Phase::Head) {
  }
  uint8_t body[16];
  std::string got;
  for (int n; (n = e.read_body(body, sizeof body)) > 0;) got.append(reinterpret_cast<char*>(body), static_cast<size_t>(n));
  CHECK(got == "hel");
  w.now += 15001;
  CHECK(e.poll() == Exchange::Phase::Failed);
  CHECK(e.read_body(body, sizeof body) == -2);
  e.send(0);
  CHECK(e.phase() == Exchange::Phase::Failed);
  REQUIRE(e.dial(d));
  e.poll();
  e.send(5);
  while (e.poll() == Exchange::Phase::Writing) {
  }
  t.ended = true;
  CHECK(e.poll() == Exchange::Phase::Failed);
  e.reset();
  CHECK(e.phase() == Exchange::Phase::Idle);
}

TEST_CASE("frame ring") {
  World w;
  struct Seen {
    std::vector<FrameRing::Loss> losses;
  } seen;
  std::vector<uint8_t> memory(65 * 1024 + 64);
  // Canaries on both sides, and a start that is not aligned.
  std::fill(memory.begin(), memory.end(), 0xcc);
  const size_t skew = 3, bytes = 60000;
  FrameRing ring(w, memory.data() + skew, bytes);
  ring.on_loss([](void* c, const FrameRing::Loss& l) { static_cast<Seen*>(c)->losses.push_back(l); }, &seen);
  Bytes jpeg(10000);
  auto add = [&](uint32_t seq, size_t n, uint16_t event = 1) {
    for (size_t i = 0; i < n; ++i) jpeg[i] = static_cast<uint8_t>(seq + i);
    FrameInfo info;
    info.seq = seq;
    info.event = event;
    info.length = static_cast<uint32_t>(n);
    return ring.add(info, jpeg.data());
  };
  CHECK(ring.take() == FrameRing::kNone);
  for (uint32_t s = 1; s <= 5; ++s) REQUIRE(add(s, 9000));
  CHECK(seen.losses.empty());
  const uint16_t first = ring.take();
  CHECK(ring.info(first).seq == 1);
  CHECK(ring.info(first).crc != 0);
  // The pinned one is spared, the next oldest go.
  for (uint32_t s = 6; s <= 8; ++s) REQUIRE(add(s, 9000));
  REQUIRE(seen.losses.size() >= 2);
  CHECK(seen.losses[0].seq == 2);
  CHECK(seen.losses[1].seq == 3);
  ring.sent(first);
  CHECK(ring.backlog() == 8 - seen.losses.size());
  CHECK(ring.unsent() == ring.backlog() - 1);
  seen.losses.clear();
  REQUIRE(add(9, 9000));
  // It was sent and may have arrived.
  CHECK(seen.losses.empty());
  CHECK(ring.backlog() == ring.unsent());
  ring.rewind();
  ring.not_arrived();
  REQUIRE(seen.losses.size() == 1);
  CHECK(seen.losses[0].seq == 1);
  ring.release(6);
  CHECK(ring.unsent_of(1) == 3);
  CHECK(ring.held_of(2) == 0);
  CHECK(ring.flag_newest(1, kLast));
  CHECK(!ring.flag_newest(2, kLast));
  const uint16_t seven = ring.take();
  CHECK(ring.info(seven).seq == 7);
  ring.put_back(seven);
  CHECK(ring.take() == seven);
  ring.discard(seven);
  CHECK(seen.losses.back().seq == 7);
  const uint16_t eight = ring.take(), nine = ring.take();
  CHECK(ring.info(nine).flags == kLast);
  CHECK(!ring.flag_newest(1, kLast));
  ring.sent(eight);
  ring.sent(nine);
  ring.rewind();
  CHECK(ring.unsent() == 2);
  ring.not_arrived();
  // Larger than everything: refused, nothing else given up.
  seen.losses.clear();
  Bytes huge(100000);
  FrameInfo info;
  info.seq = 10;
  info.length = 100000;
  CHECK(!ring.add(info, huge.data()));
  REQUIRE(seen.losses.size() == 1);
  CHECK(seen.losses[0].seq == 10);
  info.length = 0;
  CHECK(!ring.add(info, huge.data()));
  ring.release(100);
  CHECK(ring.used_bytes() == 0);
  // Only the pinned one left and still no room.
  REQUIRE(add(11, 9000));
  ring.take();
  info.seq = 12;
  info.length = static_cast<uint32_t>(ring.capacity_bytes());
  CHECK(!ring.add(info, huge.data()));
  for (size_t i = 0; i < skew; ++i) CHECK(memory[i] == 0xcc);
  for (size_t i = skew + bytes; i < memory.size(); ++i) CHECK(memory[i] == 0xcc);
  FrameRing tiny(w, memory.data(), 100);
  CHECK(!tiny.add(info, huge.data()));
  FrameRing small(w, memory.data(), 2100);
  CHECK(small.capacity_bytes() == 0);
}

TEST_CASE("frame ring: without an event what is left stays even, and never takes an event's place") {
  World w;
  std::vector<uint8_t> memory(400000);
  FrameRing ring(w, memory.data(), memory.size());
  uint32_t lost = 0;
  ring.on_loss([](void* c, const FrameRing::Loss& l) { *static_cast<uint32_t*>(c) += l.count; }, &lost);
  const Bytes jpeg(12000);
  uint32_t seq = 0;
  auto add = [&](uint16_t event, uint64_t t) {
    FrameInfo info;
    info.seq = ++seq;
    info.event = event;
    info.t_ms = t;
    info.length = static_cast<uint32_t>(jpeg.size());
    return ring.add(info, jpeg.data());
  };
  // A minute of a picture each 0.9 s into room for half of it. The first ones were sent, and whether they arrived is open.
  uint64_t t = 0;
  for (int i = 0; i < 4; ++i) {
    REQUIRE(add(0, t += 900));
    ring.sent(ring.take());
  }
  ring.rewind();
  while (seq < 67) REQUIRE(add(0, t += 900));
  const uint32_t given_up = 67 - ring.backlog();
  CHECK(given_up > 30);
  CHECK(lost < given_up);
  ring.not_arrived();
  CHECK(lost == given_up);
  std::vector<uint64_t> times;
  std::vector<uint16_t> taken;
  for (uint16_t f; (f = ring.take()) != FrameRing::kNone; taken.push_back(f)) times.push_back(ring.info(f).t_ms);
  REQUIRE(times.size() > 20);
  CHECK(times.front() == 900);
  CHECK(times.back() == t);
  for (size_t i = 1; i < times.size(); ++i) CHECK(times[i] - times[i - 1] <= 3600);
  for (uint16_t f : taken) ring.put_back(f);
  // An event takes the place of all of them, then of its own oldest; nothing without an event takes that.
  for (int i = 0; i < 40; ++i) REQUIRE(add(1, t += 100));
  CHECK(ring.unsent_of(0) == 0);
  CHECK(!add(0, t += 100));
  CHECK(ring.unsent_of(0) == 0);
  // What was sent on this connection has probably arrived.
  ring.sent(ring.take());
  CHECK(add(0, t += 100));
  CHECK(ring.unsent_of(0) == 1);
}

TEST_CASE("protocol: frame header and names") {
  FrameInfo info;
  info.event = 0x0102;
  info.seq = 0x03040506;
  info.t_ms = 0x0708090a0b0c0d0eull;
  info.crc = 0x0f101112;
  info.length = 0x13;
  uint8_t h[24 + 0x13] = {0};
  frame_header(info, 0x15, h);
  CHECK(hex(h, 24) == "0115010203040506" "0708090a0b0c0d0e" "0f10111200000013");
  FrameInfo back;
  CHECK(parse_frame_header(h, sizeof h, &back));
  CHECK(back.t_ms == info.t_ms);
  CHECK(!parse_frame_header(h, sizeof h - 1, &back));
  h[0] = 2;
  CHECK(!parse_frame_header(h, sizeof h, &back));
  CHECK(std::string(reason_name(WakeCause::Brownout, false)) == "brownout");
  CHECK(std::string(reason_name(WakeCause::Watchdog, false)) == "watchdog");
  CHECK(std::string(reason_name(WakeCause::Button, false)) == "button");
  CHECK(std::string(reason_name(WakeCause::Crash, false)) == "crash");
  CHECK(std::string(reason_name(WakeCause::Software, true)) == "ota");
  CHECK(std::string(reason_name(WakeCause::Software, false)) == "power");
  for (int i = 0; i <= static_cast<int>(State::Sleeping); ++i) CHECK(strlen(state_name(static_cast<State>(i))) > 3);
  char out[128];
  json::Value odd = parse("{\"a\":1}");
  CHECK(encode_result(out, sizeof out, odd, false, "x") > 0);
  CHECK(std::string(out) == "{\"type\":\"result\",\"id\":null,\"ok\":false,\"error\":\"x\"}");
  CHECK(encode_hello(out, 20, Hello{"i", "f", "m", 1, "pir", 0, 0, -1, -1, 0, 0, 0, 0, 0, 0, 0, nullptr, -1, 0, nullptr}) == 0);
}

TEST_CASE("settings: ranges, capabilities, blob") {
  Settings s;
  Caps caps;
  caps.resolutions = 0x07;
  caps.sleep = false;
  const json::Value v = parse("{\"resolution\":\"UXGA\",\"power_mode\":\"battery\",\"flash\":\"strobe\",\"framerate\":0,\"brightness\":-2,\"contrast\":3,"
                              "\"stream_duration_s\":3.5,\"motion_enabled\":1,\"night_mode\":true,\"heartbeat_interval_s\":86400,\"vflip\":null,\"rev\":8}");
  const SettingsChange c = settings_merge(s, v, caps);
  CHECK(s.brightness == -2);
  CHECK(s.night_mode);
  CHECK(s.heartbeat_interval_s == 86400);
  CHECK(s.rev == 0);
  char out[512];
  CHECK(encode_config_ack(out, sizeof out, 8, s, c, v, caps) > 0);
  CHECK(std::string(out) == "{\"type\":\"config_ack\",\"rev\":8,\"applied\":{\"heartbeat_interval_s\":86400,\"brightness\":-2,\"night_mode\":true},"
                            "\"rejected\":{\"resolution\":\"unsupported\",\"framerate\":\"range\",\"stream_duration_s\":\"range\",\"motion_enabled\":\"type\","
                            "\"power_mode\":\"unsupported\",\"flash\":\"range\",\"vflip\":\"type\",\"contrast\":\"range\"}}");
  CHECK(settings_merge(s, v, caps).changed == 0);
  CHECK(settings_merge(s, parse("[]"), caps).applied == 0);
  CHECK(std::string(settings_refusal(6, parse("{\"pre_roll\":true}"), caps)).empty());
  CHECK(std::string(settings_refusal(0, parse("{\"resolution\":1}"), caps)) == "type");
  CHECK(std::string(settings_refusal(1, parse("{\"framerate\":\"1\"}"), caps)) == "type");
  uint8_t blob[kSettingsBlobMax];
  s.rev = 77;
  s.exposure = -1;
  const size_t n = settings_save(s, blob, sizeof blob);
  REQUIRE(n > 0);
  Settings t;
  CHECK(settings_load(t, blob, n, caps));
  CHECK(t.rev == 77);
  CHECK(t.exposure == -1);
  CHECK(t.heartbeat_interval_s == 86400);
  caps.resolutions = 1;
  CHECK(!settings_load(t, blob, n, caps));
  CHECK(!settings_load(t, blob, n - 1, caps));
  // The newer keys: a grid of 48 digits, a blob of their own that belongs to one revision.
  const std::string grid = "800000000000000000000000000000000000000000000001";
  CHECK(settings_merge(s, parse(("{\"ignore_grid\":\"" + grid + "\",\"checkin_picture\":true,\"confirm_sensitivity\":8}").c_str()), caps).changed != 0);
  CHECK(s.ignore_grid[0] == 0x80);
  CHECK(s.ignore_grid[23] == 0x01);
  CHECK(settings_merge(s, parse(("{\"ignore_grid\":\"" + grid + "\"}").c_str()), caps).changed == 0);
  for (const char* bad : {"{\"ignore_grid\":\"80\"}", "{\"ignore_grid\":\"80000000000000000000000000000000000000000000000x\"}",
                          "{\"ignore_grid\":7}", "{\"confirm_sensitivity\":0}", "{\"confirm_sensitivity\":11}", "{\"confirm_motion\":1}"}) {
    CAPTURE(bad);
    CHECK(settings_merge(s, parse(bad), caps).rejected != 0);
  }
  CHECK(s.ignore_grid[0] == 0x80);
  json::Writer gw(out, sizeof out);
  gw.begin();
  settings_write(gw, s, ~0u);
  gw.end();
  REQUIRE(gw.finish() > 0);
  CHECK(std::string(out).find("\"ignore_grid\":\"" + grid + "\"") != std::string::npos);
  CHECK(settings_save(s, blob, sizeof blob) == n);
  const size_t more = settings_save_more(s, blob, sizeof blob);
  REQUIRE(more > 0);
  Settings u;
  CHECK(!settings_load_more(u, blob, more));     // rev 0
  CHECK(!u.checkin_picture);
  u.rev = 77;
  CHECK(settings_load_more(u, blob, more));
  CHECK(u.checkin_picture);
  CHECK(u.confirm_sensitivity == 8);
  CHECK(u.ignore_grid[23] == 1);
  CHECK(!settings_load_more(u, blob, more - 1));
  caps.resolutions = 0x7f;
  s.framerate = 200;
  CHECK(!settings_load(t, blob, settings_save(s, blob, sizeof blob), caps));
  CHECK(settings_save(s, blob, 10) == 0);
}

TEST_CASE("setup code") {
  World w;
  SetupCode made, again;
  made.open(w);
  again.open(w);
  CHECK(std::string(made.canonical()) == again.canonical());
  CHECK(strlen(made.canonical()) == 16);
  CHECK(strlen(made.grouped()) == 19);
  SetupCode typed;
  CHECK(typed.parse("abcd efgh-jkmn pqrs"));
  CHECK(std::string(typed.grouped()) == "ABCD-EFGH-JKMN-PQRS");
  CHECK(typed.parse("oIlO-0000-0000-0000"));
  CHECK(std::string(typed.canonical()) == "0110000000000000");
  for (const char* bad : {"", "ABCD", "ABCDEFGHJKMNPQRSX", "ABCDEFGHJKMNPQRU", "ABCDEFGHJKMNPQR!"}) CHECK(!typed.parse(bad));
  w.store["setup_code"] = Bytes(16, 'U');
  SetupCode fresh;
  fresh.open(w);
  CHECK(std::string(fresh.canonical()) != std::string(16, 'U'));
}

TEST_CASE("setup endpoint: five wrong codes lock it for a minute") {
  World w;
  w.boot(WakeCause::Power);
  SetupEndpoint e(w);
  SetupCode code;
  code.open(w);
  char out[768], scratch[4096];
  CHECK(e.get(out, 20, "i", "m", "f", Caps()) == 0);
  for (int i = 0; i < 5; ++i) {
    REQUIRE(e.get(out, sizeof out, "i", "m", "f", Caps()) > 0);
    char nonce[32];
    parse(out).get("nonce").to_string(nonce, sizeof nonce);
    const std::string body = std::string("{\"nonce\":\"") + nonce + "\",\"iv\":\"AAAAAAAAAAAAAAAA\",\"box\":\"" + std::string(40, 'A') + "\"}";
    Bundle b;
    CHECK(e.post(body.data(), body.size(), "i", code, scratch, sizeof scratch, &b) == 403);
  }
  Bundle b;
  CHECK(e.post("{}", 2, "i", code, scratch, sizeof scratch, &b) == 429);
  w.now += 61000;
  for (const char* bad : {"", "[]", "{}", "{\"nonce\":\"AAAA\"}", "{\"nonce\":\"AAAAAAAAAAAAAAAAAAAAAA\",\"iv\":\"A\",\"box\":\"\"}",
                          "{\"nonce\":\"AAAAAAAAAAAAAAAAAAAAAA\",\"iv\":\"AAAAAAAAAAAAAAAA\",\"box\":7}",
                          "{\"nonce\":\"AAAAAAAAAAAAAAAAAAAAAA\",\"iv\":\"AAAAAAAAAAAAAAAA\",\"box\":\"AAAA\"}"}) {
    CAPTURE(bad);
    CHECK(e.post(bad, strlen(bad), "i", code, scratch, sizeof scratch, &b) == 400);
  }
}

TEST_CASE("bundles") {
  World w;
  std::string pem = "-----BEGIN CERTIFICATE-----\\n";
  for (int i = 0; i < 4; ++i) pem += "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4v\\n";
  pem += "-----END CERTIFICATE-----\\n";
  auto make = [&](const std::string& hosts, const std::string& port, const std::string& name, const std::string& ca, const std::string& token) {
    return "{\"v\":1,\"gateway\":{\"hosts\":" + hosts + ",\"port\":" + port + ",\"name\":\"" + name + "\"},\"ca\":\"" + ca + "\",\"token\":\"" + token + "\"}";
  };
  const std::string token(43, 't'), hosts = "[\"fe80::1%eth0\",\"192.168.1.10\"]";
  auto good = [&](std::string text) {
    Bundle b;
    return parse_bundle(w, &text[0], text.size(), &b) && b.claim.hosts == 1;
  };
  CHECK(good(make(hosts, "3443", "nvr.internal", pem, token)));
  Bytes der;
  for (int i = 0; i < 4; ++i) for (uint8_t b = 0; b < 48; ++b) der.push_back(b);
  uint8_t digest[32];
  sha256(der.data(), der.size(), digest);
  char ca16[17];
  const std::string plain(w.store["ca"].begin(), w.store["ca"].end());
  CHECK(ca_save(w, plain.c_str(), plain.size(), ca16));
  CHECK(std::string(ca16) == hex(digest, 8));
  CHECK(!good(make("[]", "3443", "nvr.internal", pem, token)));
  CHECK(!good(make("[\"a b\"]", "3443", "nvr.internal", pem, token)));
  CHECK(!good(make(hosts, "0", "nvr.internal", pem, token)));
  CHECK(!good(make(hosts, "65536", "nvr.internal", pem, token)));
  CHECK(!good(make(hosts, "3443", "", pem, token)));
  CHECK(!good(make(hosts, "3443", "a\\r\\nb", pem, token)));
  CHECK(!good(make(hosts, "3443", "nvr.internal", "", token)));
  CHECK(!good(make(hosts, "3443", "nvr.internal", pem + pem, token)));
  CHECK(!good(make(hosts, "3443", "nvr.internal", "-----BEGIN CERTIFICATE-----AAAA", token)));
  CHECK(!good(make(hosts, "3443", "nvr.internal", "-----BEGIN CERTIFICATE-----\\nAAA!\\n-----END CERTIFICATE-----", token)));
  CHECK(!good(make(hosts, "3443", "nvr.internal", "-----BEGIN CERTIFICATE-----\\nAAAA\\n-----END CERTIFICATE-----", token)));
  CHECK(!good(make(hosts, "3443", "nvr.internal", pem, "short")));
  CHECK(!good("{\"v\":1}"));
  CHECK(!good("{"));
  const std::string large(3000, 'x');
  CHECK(!ca_save(w, large.c_str(), large.size(), ca16));
}

TEST_CASE("claims and Wi-Fi in NVS") {
  World w;
  Claim c;
  CHECK(!claim_load(w, &c));
  for (const char* h : {"a", "b", "c", "d"}) c.prefer(h);
  CHECK(std::string(c.host[0]) == "d");
  c.prefer("b");
  CHECK(std::string(c.host[0]) == "b");
  CHECK(std::string(c.host[1]) == "d");
  c.prefer("e");
  CHECK(c.hosts == 4);
  CHECK(std::string(c.host[3]) != "e");
  copy_string(c.api_key, sizeof c.api_key, std::string(43, 'k').c_str());
  REQUIRE(claim_save(w, c));
  Claim d;
  REQUIRE(claim_load(w, &d));
  CHECK(std::string(d.host[0]) == "e");
  w.store["claim"][3] ^= 1;
  CHECK(!claim_load(w, &d));
  CHECK(!d.claimed());
  claim_erase(w);
  CHECK(w.store.count("claim") == 0);
  CHECK(wifi_valid("x", ""));
  CHECK(wifi_valid("x", std::string(64, 'a').c_str()));
  CHECK(!wifi_valid("x", std::string(64, 'g').c_str()));
  CHECK(!wifi_valid("x", std::string(65, 'a').c_str()));
  CHECK(!wifi_valid("", ""));
  CHECK(!host_valid(""));
  CHECK(host_valid("fe80::1"));
  CHECK(!key_valid("abc"));
  w.store_broken = true;
  CHECK(!wifi_save(w, WifiCredentials()));
}

TEST_CASE("Improv Serial") {
  ImprovParser p;
  auto feed = [&](const Bytes& b) {
    ImprovParser::Event last = ImprovParser::Event::None;
    for (uint8_t x : b) {
      const auto e = p.feed(x);
      if (e != ImprovParser::Event::None) last = e;
    }
    return last;
  };
  // "Request current state", byte for byte.
  CHECK(feed(unhex("494d50524f560103020200e5")) == ImprovParser::Event::Rpc);
  CHECK(p.command() == ImprovCommand::GetState);
  CHECK(p.length() == 0);
  CHECK(feed(unhex("494d50524f560103020200e6")) == ImprovParser::Event::Bad);
  CHECK(feed(unhex("494d50524f560103020201e6")) == ImprovParser::Event::Bad);
  CHECK(feed(unhex("494d50524f5601010102e2")) == ImprovParser::Event::None);   // our own state packet, echoed
  CHECK(feed({'I', 'M', 'P', 'O', 'R', 'T', '\n'}) == ImprovParser::Event::Line);
  CHECK(std::string(p.line()) == "IMPORT");
  CHECK(feed({'I', 'I', 'M', 'P', '\r'}) == ImprovParser::Event::Line);
  CHECK(std::string(p.line()) == "IIMP");
  Bytes longer(100, 'z');
  longer.push_back('\n');
  CHECK(feed(longer) == ImprovParser::Event::Line);
  CHECK(strlen(p.line()) == 31);
  CHECK(feed({'\n', 7}) == ImprovParser::Event::None);
  char ssid[33], password[65];
  const uint8_t good[] = {2, 'a', 'b', 1, 'c'};
  CHECK(improv_wifi(good, 5, ssid, password));
  CHECK(std::string(ssid) == "ab");
  CHECK(!improv_wifi(good, 4, ssid, password));
  CHECK(!improv_wifi(good, 1, ssid, password));
  const uint8_t nul[] = {2, 'a', 0, 1, 'c'};
  CHECK(!improv_wifi(nul, 5, ssid, password));
  const uint8_t huge[] = {40, 'a', 0, 1, 'c'};
  CHECK(!improv_wifi(huge, 5, ssid, password));
  uint8_t out[kImprovMax];
  CHECK(hex(out, improv_state(out, ImprovState::Ready)) == "494d50524f5601010102e20a");
  CHECK(hex(out, improv_error(out, ImprovError::UnableToConnect)) == "494d50524f5601020103e40a");
  const char* strings[] = {"ab"};
  CHECK(hex(out, improv_result(out, ImprovCommand::Scan, strings, 1)).substr(14, 14) == "04050403026162");
  const std::string text(200, 's');
  const char* many[] = {text.c_str(), text.c_str()};
  CHECK(improv_result(out, ImprovCommand::Scan, many, 2) == 11 + 2 + 201);
}

TEST_CASE("RTC memory") {
  RtcState s;
  memset(static_cast<void*>(&s), 0xa5, sizeof s);
  CHECK(!rtc_open(&s));
  CHECK(rtc_open(&s));
  s.wakes = 5;
  CHECK(!rtc_open(&s));
  CHECK(s.wakes == 0);
  s.session_len = 5000;
  rtc_seal(&s);
  CHECK(!rtc_open(&s));
  memset(s.gateway_host, 'x', sizeof s.gateway_host);
  rtc_seal(&s);
  CHECK(!rtc_open(&s));
  s.battery_level = 9;
  rtc_seal(&s);
  CHECK(!rtc_open(&s));
}

TEST_CASE("PIR policy") {
  PirPolicy::Limits limits;
  limits.settle_ms = 1000;
  limits.stuck_ms = 5000;
  PirPolicy p(limits);
  p.begin(0, true, false);
  p.update(500, true);
  CHECK(!p.motion());                 // still warming up, for as long as this pulse lasts
  p.update(1500, true);
  CHECK(!p.motion());
  p.update(1600, false);
  p.update(1700, true);
  CHECK(p.motion());
  CHECK(p.quiet_in(1700) == UINT32_MAX);
  p.update(6800, true);
  CHECK(p.stuck());
  CHECK(!p.motion());
  p.update(7000, false);
  CHECK(!p.stuck());
  CHECK(p.quiet_in(7000) == 500);
  p.radio_off(7000);
  CHECK(p.quiet_in(7600) == 1400);
  p.update(8000, true);
  CHECK(!p.motion());                 // the radio's doing
  CHECK(p.doubtful());
  p.update(8100, false);
  CHECK(!p.doubtful());
  CHECK(p.quiet_in(9100) == 0);
  p.radio_off(20000);
  p.update(20500, true);
  p.update(21000, false);
  p.update(21500, true);              // again, and it stays
  p.update(24999, true);
  CHECK(p.doubtful());
  CHECK(!p.motion());
  p.update(25000, true);
  CHECK(!p.doubtful());
  CHECK(p.motion());
  CHECK(p.high_since() == 21500);
  p.update(26500, true);
  CHECK(p.stuck());                   // counted from the edge
  CHECK(!p.motion());
  p.update(27000, false);
  p.radio_off(30000);
  p.update(31999, true);
  CHECK(p.doubtful());
  p.update(32100, false);
  p.update(32200, true);              // past the window: motion at once
  CHECK(p.motion());
  p.begin(0, false, true);
  CHECK(p.motion());
  uint64_t window = 0;
  uint16_t wakes = 0;
  for (int i = 0; i < 3; ++i) CHECK(count_pir_wake(&window, &wakes, 1000 + static_cast<uint64_t>(i), 3));
  CHECK(!count_pir_wake(&window, &wakes, 2000, 3));
  CHECK(pir_rest_s(window, 2000) == 3600);
  CHECK(count_pir_wake(&window, &wakes, 3700000, 3));
  CHECK(pir_rest_s(window, 99999999) == 1);
  wakes = UINT16_MAX;
  CHECK(!count_pir_wake(&window, &wakes, 3700001, 3));
}

TEST_CASE("battery and backoff") {
  BatteryCurve c;
  CHECK(battery_level(c, -1, BatteryLevel::Critical) == BatteryLevel::Good);
  CHECK(battery_level(c, 3620, BatteryLevel::Good) == BatteryLevel::Good);
  CHECK(battery_level(c, 3620, BatteryLevel::Low) == BatteryLevel::Low);
  CHECK(battery_level(c, 3420, BatteryLevel::Critical) == BatteryLevel::Critical);
  CHECK(battery_level(c, 3420, BatteryLevel::Low) == BatteryLevel::Low);
  int last = 0;
  for (int mv = 3200; mv < 4300; ++mv) {
    CHECK(battery_percent(mv) >= last);
    last = battery_percent(mv);
  }
  CHECK(last == 100);
  CHECK(battery_percent(3200) == 0);
  CHECK(battery_limit_s(BatteryLevel::Low, 4) == 3);
  CHECK(battery_limit_s(BatteryLevel::Critical, 100) == 0);
  Backoff b;
  for (uint32_t limit : {1000u, 2000u, 4000u, 8000u, 16000u, 30000u, 30000u}) {
    Backoff copy = b;
    CHECK(copy.next(0) == 0);
    CHECK(b.next(UINT32_MAX) == limit);
  }
  b.reset();
  b.at_least(3);
  CHECK(b.next(UINT32_MAX) == 8000);
  CHECK(b.tries() == 4);
  CHECK(timer_interval_s(3600, 0) == 3600);
  CHECK(timer_interval_s(3600, 200) == kSlowestTimerS);
  CHECK(timer_interval_s(86400, 3) == 86400);
  CHECK(offline_budget_ms(0) == 60000);
  CHECK(offline_budget_ms(9) == 15000);
}

TEST_CASE("coarse luma and motion confirmation") {
  LumaGrid left, right, bright, gray, restart;
  REQUIRE(luma_grid(kBoxLeft, sizeof kBoxLeft, &left));
  REQUIRE(luma_grid(kBoxRight, sizeof kBoxRight, &right));
  REQUIRE(luma_grid(kBoxLeftBright, sizeof kBoxLeftBright, &bright));
  REQUIRE(luma_grid(kGray, sizeof kGray, &gray));
  REQUIRE(luma_grid(kRestart, sizeof kRestart, &restart));
  CHECK(!luma_grid(kProgressive, sizeof kProgressive, &left));
  // The box is light, the rest dark, in all encodings.
  for (const LumaGrid* g : {&left, &gray, &restart}) {
    CHECK(g->cell[6 * kGridW + 3] > 180);
    CHECK(g->cell[6 * kGridW + 12] < 140);
  }
  CHECK(right.cell[6 * kGridW + 12] > 180);
  Bytes damaged(kBoxLeft, kBoxLeft + sizeof kBoxLeft);
  for (size_t cut = 0; cut < damaged.size(); cut += 7) {
    LumaGrid g;
    luma_grid(damaged.data(), cut, &g);   // must only not crash
  }
  CHECK(!luma_grid(kBoxLeft, sizeof kBoxLeft / 2, &left));
  auto verdict = [](const uint8_t* a, size_t an, const uint8_t* b, size_t bn) {
    MotionConfirm::Limits l;
    l.warm = 1;
    l.frames = 4;
    MotionConfirm m(l);
    m.add(a, an);
    m.add(a, an);
    MotionConfirm::Verdict v = MotionConfirm::Verdict::Undecided;
    for (int i = 0; i < 5; ++i) v = m.add(b, bn);
    return v;
  };
  using V = MotionConfirm::Verdict;
  CHECK(verdict(kBoxLeft, sizeof kBoxLeft, kBoxRight, sizeof kBoxRight) == V::Motion);
  CHECK(verdict(kBoxLeft, sizeof kBoxLeft, kBoxLeft, sizeof kBoxLeft) == V::Nothing);
  CHECK(verdict(kBoxLeft, sizeof kBoxLeft, kBoxLeftBright, sizeof kBoxLeftBright) == V::Nothing);
  // Nothing is said only of pictures that can tell.
  const Bytes junk(1000);
  CHECK(verdict(junk.data(), junk.size(), junk.data(), junk.size()) == V::Motion);
  CHECK(verdict(kProgressive, sizeof kProgressive, kProgressive, sizeof kProgressive) == V::Motion);
  LumaGrid even;
  for (const int luma : {5, 35, 250}) {
    memset(even.cell, luma, sizeof even.cell);
    const Bytes j = gray_jpeg(even);
    CHECK(verdict(j.data(), j.size(), j.data(), j.size()) == V::Motion);
  }
  // The encoder of the tests says what the decoder of the camera reads.
  for (int i = 0; i < kGridW * kGridH; ++i) even.cell[i] = static_cast<uint8_t>(i * 255 / (kGridW * kGridH - 1));
  LumaGrid read;
  for (const size_t bytes : {size_t{0}, size_t{5000}}) {
    const Bytes j = gray_jpeg(even, bytes);
    REQUIRE(luma_grid(j.data(), j.size(), &read));
    CHECK(memcmp(read.cell, even.cell, sizeof read.cell) == 0);
  }
  // A light that goes on, and a scene that is not as it was.
  auto judge = [](int base, int later, int scene, const uint8_t* ignore, int moving_cells) {
    LumaGrid a, b, s;
    memset(a.cell, base, sizeof a.cell);
    memset(b.cell, later, sizeof b.cell);
    memset(s.cell, scene < 0 ? base : scene, sizeof s.cell);
    for (int i = 0; i < moving_cells; ++i) b.cell[i] = static_cast<uint8_t>(later + 60);
    MotionConfirm m;
    m.begin(MotionConfirm::limits_for(5), ignore, scene < -1 ? nullptr : s.cell);
    const Bytes ja = gray_jpeg(a), jb = gray_jpeg(b);
    MotionConfirm::Verdict v = MotionConfirm::Verdict::Undecided;
    for (int i = 0; i < 15; ++i) v = i < 6 ? m.add(ja.data(), ja.size()) : m.add(jb.data(), jb.size());
    return v;
  };
  CHECK(judge(100, 100, -1, nullptr, 0) == V::Nothing);
  CHECK(judge(100, 120, -1, nullptr, 0) == V::Nothing);    // exposure
  CHECK(judge(100, 180, -2, nullptr, 0) == V::Motion);     // a lamp
  CHECK(judge(100, 100, -1, nullptr, 5) == V::Motion);
  CHECK(judge(100, 100, -1, nullptr, 3) == V::Nothing);
  uint8_t ignore[24] = {0xff};
  CHECK(judge(100, 100, -1, ignore, 5) == V::Nothing);     // the tree in the corner
  memset(ignore, 0xff, sizeof ignore);
  CHECK(judge(100, 100, -1, ignore, 0) == V::Motion);      // nothing to look at: no reason to drop
  {
    // Somebody who stands still is in no later picture than the first, but not in the scene.
    LumaGrid a, s;
    memset(s.cell, 100, sizeof s.cell);
    a = s;
    for (int i = 0; i < 6; ++i) a.cell[40 + i] = 160;
    const Bytes j = gray_jpeg(a);
    for (const bool known : {true, false}) {
      MotionConfirm m;
      m.begin(MotionConfirm::limits_for(5), nullptr, known ? s.cell : nullptr);
      MotionConfirm::Verdict v = MotionConfirm::Verdict::Undecided;
      for (int i = 0; i < 15; ++i) v = m.add(j.data(), j.size());
      CHECK(v == (known ? V::Motion : V::Nothing));
    }
  }
  CHECK(MotionConfirm::limits_for(10).luma < MotionConfirm::limits_for(1).luma);
  CHECK(MotionConfirm::limits_for(10).cells < MotionConfirm::limits_for(1).cells);
}

TEST_CASE("QR code: read back as a reader does, check words and all") {
  char link[128];
  REQUIRE(setup_link("24:6F:28:12:34:56", "7K3M-Q9TR-2XH4-WBNV", link, sizeof link));
  CHECK(std::string(link) == "https://my.home-assistant.io/redirect/config_flow_start/?domain=magicpi_nvr#24:6F:28:12:34:56/7K3M-Q9TR-2XH4-WBNV");
  CHECK(!setup_link("24:6F:28:12:34:56", "7K3M-Q9TR-2XH4-WBNV", link, 60));
  QrCode qr;
  CHECK(!qr.encode(std::string(QrCode::kMaxText + 1, 'x').c_str()));
  if (const char* folder = getenv("MAGICPI_QR")) {
    REQUIRE(setup_link("24:6F:28:12:34:56", "7K3M-Q9TR-2XH4-WBNV", link, sizeof link));
    REQUIRE(qr.encode(link));
    FILE* f = fopen((std::string(folder) + "/qr.pbm").c_str(), "we");
    constexpr int kScale = 6, kSide = (QrCode::kSize + 8) * kScale;
    fprintf(f, "P1\n%d %d\n", kSide, kSide);
    for (int y = 0; y < kSide; ++y) {
      for (int x = 0; x < kSide; ++x) {
        const int mx = x / kScale - 4, my = y / kScale - 4;
        const bool inside = mx >= 0 && my >= 0 && mx < QrCode::kSize && my < QrCode::kSize;
        fputs(inside && qr.dark(mx, my) ? "1 " : "0 ", f);
      }
      fputc('\n', f);
    }
    fclose(f);
  }
  auto multiply = [](unsigned a, unsigned b) {
    unsigned p = 0;
    for (; b; b >>= 1) {
      if (b & 1) p ^= a;
      a = a << 1 ^ (a & 0x80 ? 0x11d : 0);
    }
    return p;
  };
  for (const size_t n : {size_t{0}, size_t{1}, size_t{77}, size_t{133}, QrCode::kMaxText}) {
    std::string text;
    for (size_t i = 0; i < n; ++i) text += static_cast<char>('!' + i * 37 % 90);
    REQUIRE(qr.encode(text.c_str()));
    // Finders, timing, the dark module, and both copies of the format: level L, mask 0.
    CHECK((qr.dark(0, 0) && qr.dark(40, 0) && qr.dark(0, 40) && !qr.dark(7, 7) && qr.dark(8, 33)));
    for (int i = 8; i < 33; ++i) CHECK(qr.dark(i, 6) == (i % 2 == 0));
    const int xs[] = {0, 1, 2, 3, 4, 5, 7, 8, 8, 8, 8, 8, 8, 8, 8}, ys[] = {8, 8, 8, 8, 8, 8, 8, 8, 7, 5, 4, 3, 2, 1, 0};
    unsigned one = 0, two = 0;
    for (int i = 0; i < 15; ++i) {
      one = one << 1 | qr.dark(xs[i], ys[i]);
      two = two << 1 | (i < 7 ? qr.dark(8, 40 - i) : qr.dark(26 + i, 8));
    }
    CHECK(one == two);
    CHECK(((one ^ 0x5412) >> 10) == 0x08u);
    unsigned rest = one ^ 0x5412;
    for (int i = 14; i >= 10; --i) {
      if (rest >> i & 1) rest ^= 0x537u << (i - 10);
    }
    CHECK(rest == 0);
    std::vector<uint8_t> words(172);
    size_t bit = 0;
    bool up = true;
    for (int right = 40; right > 0; right -= 2, up = !up) {
      if (right == 6) right = 5;
      for (int step = 0; step < 41; ++step) {
        const int y = up ? 40 - step : step;
        for (int x = right; x > right - 2; --x) {
          const bool corner = (x < 9 && y < 9) || (x < 9 && y > 32) || (x > 32 && y < 9);
          const bool alignment = x > 31 && x < 37 && y > 31 && y < 37;
          if (corner || alignment || x == 6 || y == 6) continue;
          if (bit < 1376 && (qr.dark(x, y) != ((x + y) % 2 == 0))) words[bit / 8] = static_cast<uint8_t>(words[bit / 8] | 0x80 >> bit % 8);
          ++bit;
        }
      }
    }
    CHECK(bit == 1383);
    std::string data;
    for (size_t b = 0; b < 2; ++b) {
      std::vector<uint8_t> block;
      for (size_t i = 0; i < 68; ++i) block.push_back(words[2 * i + b]);
      data.append(block.begin(), block.end());
      for (size_t i = 0; i < 18; ++i) block.push_back(words[136 + 2 * i + b]);
      unsigned root = 1;
      for (int i = 0; i < 18; ++i, root = multiply(root, 2)) {
        unsigned sum = 0;
        for (const uint8_t w : block) sum = multiply(sum, root) ^ w;
        CHECK(sum == 0);
      }
    }
    auto nibble = [&](size_t i) { return static_cast<uint8_t>(data[i / 2]) >> (i % 2 ? 0 : 4) & 15; };
    CHECK(nibble(0) == 4);
    CHECK(static_cast<size_t>(nibble(1) << 4 | nibble(2)) == n);
    std::string read;
    for (size_t i = 0; i < n; ++i) read += static_cast<char>(nibble(3 + 2 * i) << 4 | nibble(4 + 2 * i));
    CHECK(read == text);
  }
}

TEST_CASE("OTA offers") {
  World w;
  w.boot(WakeCause::Power);
  uint8_t key[65] = {4};
  BatteryCurve curve;
  const std::string sha = std::string(64, 'a');
  auto offer = [&](OtaUpdate& o, const std::string& text, int mv = 4000) {
    const char* e = o.offer(parse(text), "1.0.0", curve, mv);
    return std::string(e ? e : "");
  };
  OtaUpdate o(w, nullptr), strict(w, key);
  const std::string base = "{\"version\":\"1.2.0\",\"sha256\":\"" + sha + "\",\"size\":10,\"path\":\"/firmware/x\"";
  CHECK(offer(o, base + "}") == "");
  CHECK(offer(o, base + "}", 3600) == "battery");
  CHECK(offer(strict, base + "}") == "unsigned");
  CHECK(offer(strict, base + ",\"signature\":\"AAAA\"}") == "");
  CHECK(offer(strict, base + ",\"signature\":\"A!\"}") == "malformed");
  CHECK(offer(o, "{\"version\":\"0.9\",\"sha256\":\"" + sha + "\",\"size\":10,\"path\":\"/x\",\"downgrade\":true}") == "");
  CHECK(offer(o, "{\"version\":\"2\",\"sha256\":\"" + sha + "\",\"size\":10,\"path\":\"http://x\"}") == "path");
  CHECK(offer(o, "{\"version\":\"2\",\"sha256\":\"" + sha + "\",\"size\":10,\"path\":\"/a b\"}") == "path");
  CHECK(offer(o, "{\"version\":\"2\",\"sha256\":\"" + sha + "\",\"size\":0,\"path\":\"/a\"}") == "size");
  CHECK(offer(o, "{}") == "malformed");
  uint8_t image[10] = {0};
  CHECK(offer(strict, base + ",\"signature\":\"AAAA\"}") == "");
  CHECK(!strict.write(image, 1));
  CHECK(strict.start());
  CHECK(strict.start());
  CHECK(strict.write(image, 10));
  CHECK(!strict.write(image, 1));
  CHECK(std::string(strict.finish()) == "sha256");
  char digest_hex[65];
  uint8_t digest[32];
  sha256(image, 10, digest);
  hex_encode(digest, 32, digest_hex);
  const std::string real = "{\"version\":\"1.2.0\",\"sha256\":\"" + std::string(digest_hex) + "\",\"size\":10,\"path\":\"/firmware/x\"";
  CHECK(offer(strict, real + ",\"signature\":\"AAAA\"}") == "");
  CHECK(strict.start());
  CHECK(strict.write(image, 10));
  CHECK(std::string(strict.finish()) == "signature");
  CHECK(offer(o, real + "}") == "");
  for (int i = 0; i < 3; ++i) CHECK(o.start());
  CHECK(!o.start());
  CHECK(offer(o, real + "}") == "");
  w.slot_broken = true;
  CHECK(o.start());
  CHECK(o.write(image, 10));
  CHECK(o.percent() == 100);
  CHECK(std::string(o.finish()) == "slot");
}
