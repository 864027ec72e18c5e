#include "unit/vm/support.h"

#include "vm/app_text.h"
#include "vm/transfers.h"
#include "vm/transfers_genesis.h"

#define A1 "0101010101010101010101010101010101010101010101010101010101010101"
#define A2 "0202020202020202020202020202020202020202020202020202020202020202"
#define FEE "\"fee\":{\"base\":1,\"per_byte\":2,\"per_signature\":3}"
#define ONE "{\"address\":\"" A1 "\",\"balance\":\"5\"}"

static enum dsmr_err genesis(const char *text, size_t len, char reason[256])
{
    struct dsmr_transfers_config config = {.domain = {.network_id = 1}};
    struct dsmr_app app;
    struct fixture f;
    struct dsmr_id root;
    const char *sentence = NULL;
    fixture_init(&f);
    assert_int_equal(dsmr_transfers_new(&app, &config), DSMR_OK);
    struct dsmr_kv_txn *txn = begin(&f, true);
    enum dsmr_err err = app.ops->genesis(app.self, &root, &sentence, &f.kv, txn, text, len);
    abort_txn(&f, txn);
    reason[0] = 0;
    if (err) {
        assert_int_equal(err, DSMR_ERR_CONFIG);
        assert_non_null(sentence);
        size_t n = strlen(sentence);
        assert_true(n > 0 && n < 200);
        memcpy(reason, sentence, n + 1);
    }
    app.ops->free(app.self);
    fixture_close(&f);
    return err;
}

static void assert_good(const char *text)
{
    char reason[256];
    enum dsmr_err err = genesis(text, strlen(text), reason);
    assert_string_equal(reason, "");
    assert_int_equal(err, DSMR_OK);
}

static void assert_bad(const char *text, const char *sentence)
{
    char reason[256];
    assert_int_equal(genesis(text, strlen(text), reason), DSMR_ERR_CONFIG);
    if (!strstr(reason, sentence)) {
        fail_msg("\"%s\" is not in \"%s\"", sentence, reason);
    }
}

static void test_good(void **state)
{
    (void)state;
    assert_good("{" FEE ",\"accounts\":[]}");
    assert_good("{" FEE ",\"accounts\":[" ONE "]}");
    assert_good("{\"name\":\"transfers\"," FEE ",\"accounts\":[" ONE "]}");
    assert_good(" {\n\t\"accounts\" : [ { \"balance\" : 5 , \"address\" :\r\"" A1 "\" } ] , " FEE
                " } ");
    assert_good("{\"fee\":{\"per_byte\":\"0\",\"base\":0,\"per_signature\":\"0\"},\"accounts\":["
                "{\"address\":\"dsmr1qqqsyqcyq5rqwzqfpg9scrgwpugpzysnzs23v9ccrydpk8qarc0sk00nfl\","
                "\"balance\":18446744073709551615}]}");
    assert_good("{" FEE ",\"accounts\":[{\"address\":\"" A1 "\",\"balance\":18446744073709551614},"
                "{\"address\":\"" A2 "\",\"balance\":1}]}");
}

static void test_members(void **state)
{
    (void)state;
    assert_bad("{}", "app.fee: is missing");
    assert_bad("{" FEE "}", "app.accounts: is missing");
    assert_bad("{" FEE "," FEE ",\"accounts\":[]}", "app.fee: stands there twice");
    assert_bad("{" FEE ",\"accounts\":[],\"accounts\":[]}", "app.accounts: stands there twice");
    assert_bad("{\"x\":1}", "app: has a member that is not known");
    assert_bad("{\"name\":\"opaque\"}", "app.name: is not \"transfers\"");
    assert_bad("{\"name\":1}", "app.name: expected a string");
    assert_bad("{\"fee\":{\"base\":1,\"per_byte\":2}}", "app.fee.per_signature: is missing");
    assert_bad("{\"fee\":{\"base\":1,\"base\":2}}", "app.fee.base: stands there twice");
    assert_bad("{\"fee\":{\"tip\":1}}", "app.fee: has a member that is not known");
    assert_bad("{\"fee\":1}", "app.fee: expected an object");
    assert_bad("{\"fee\":{\"base\":18446744073709551615,\"per_byte\":0,\"per_signature\":1}}",
               "app.fee: of the largest transaction does not fit into 64 bits");
    assert_bad("{" FEE ",\"accounts\":{}}", "app.accounts: expected an array");
}

static void test_accounts(void **state)
{
    (void)state;
    assert_bad("{" FEE ",\"accounts\":[1]}", "app.accounts[0]: expected an object");
    assert_bad("{" FEE ",\"accounts\":[" ONE ",{}]}", "app.accounts[1].address: is missing");
    assert_bad("{" FEE ",\"accounts\":[{\"address\":\"" A1 "\"}]}",
               "app.accounts[0].balance: is missing");
    assert_bad("{" FEE ",\"accounts\":[" ONE "," ONE "]}",
               "app.accounts[1].address: stands there twice");
    assert_bad("{" FEE ",\"accounts\":[{\"address\":\"" A1 "\",\"balance\":0}]}",
               "app.accounts[0].balance: must be above zero");
    assert_bad("{" FEE ",\"accounts\":[{\"address\":\"" A1 "\",\"balance\":18446744073709551615},"
               "{\"address\":\"" A2 "\",\"balance\":1}]}",
               "app.accounts[1].balance: makes the sum of all balances exceed 64 bits");
    assert_bad("{" FEE ",\"accounts\":[{\"address\":\"" A1 "\",\"balance\":18446744073709551616}]}",
               "app.accounts[0].balance: number does not fit into 64 bits");
    assert_bad("{" FEE ",\"accounts\":[{\"address\":\"0x01\"}]}",
               "app.accounts[0].address: is neith");
    assert_bad("{" FEE ",\"accounts\":[{\"address\":\"" A1 "\",\"address\":\"" A1 "\"}]}",
               "app.accounts[0].address: stands there twice");
    assert_bad("{" FEE ",\"accounts\":[{\"nonce\":1}]}", "app.accounts[0]: has a member");
}

static void test_syntax(void **state)
{
    (void)state;
    assert_bad("", "expected an object (byte 0)");
    assert_bad("[]", "expected an object");
    assert_bad("{" FEE ",\"accounts\":[" ONE "]} x", "text after the end");
    assert_bad("{" FEE ",\"accounts\":[" ONE ",]}", "expected an object");
    assert_bad("{" FEE ",\"accounts\":[" ONE " " ONE "]}", "expected a comma");
    assert_bad("{" FEE ",}", "expected a string");
    assert_bad("{" FEE ",\"accounts\"}", "expected a colon");
    assert_bad("{\"fee\":{\"base\":-1}}", "app.fee.base: expected a whole number");
    assert_bad("{\"fee\":{\"base\":1.0}}", "app.fee.base: expected a whole number");
    assert_bad("{\"fee\":{\"base\":1e3}}", "app.fee.base: expected a whole number");
    assert_bad("{\"fee\":{\"base\":01}}", "app.fee.base: number with a leading zero");
    assert_bad("{\"fee\":{\"base\":\"\"}}", "app.fee.base: expected a whole number");
    assert_bad("{\"fee\":{\"base\":\"1 \"}}", "app.fee.base: expected a whole number");
    assert_bad("{\"fee\":{\"base\":null}}", "app.fee.base: expected a whole number");
    assert_bad("{\"f\\u0065e\":1}", "strings here have no escapes");
    assert_bad("{\"name", "string without an end");
}

/* Every prefix of a good text is refused, and nothing is read behind its end. */
static void test_cut_anywhere(void **state)
{
    (void)state;
    static const char good[] = "{" FEE ",\"accounts\":[" ONE "]}";
    size_t len = strlen(good);
    for (size_t n = 0; n <= len; n++) {
        char reason[256];
        char *copy = malloc(n + 1); /* the sanitizer watches its end */
        memcpy(copy, good, n);
        char *exact = realloc(copy, n ? n : 1);
        assert_int_equal(genesis(exact, n, reason), n == len ? DSMR_OK : DSMR_ERR_CONFIG);
        free(exact);
    }
}

static void test_every_byte_changed(void **state)
{
    (void)state;
    static const char good[] = "{" FEE ",\"accounts\":[" ONE "]}";
    static const char bytes[] = "\0\"{}[],:0x\x80\xff\\";
    size_t len = strlen(good);
    for (size_t n = 0; n < len; n++) {
        for (size_t b = 0; b < sizeof bytes - 1; b++) {
            char copy[sizeof good];
            char reason[256];
            memcpy(copy, good, sizeof good);
            copy[n] = bytes[b];
            (void)genesis(copy, len, reason); /* no crash; a sentence if refused */
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),         cmocka_unit_test(test_members),
        cmocka_unit_test(test_accounts),     cmocka_unit_test(test_syntax),
        cmocka_unit_test(test_cut_anywhere), cmocka_unit_test(test_every_byte_changed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
