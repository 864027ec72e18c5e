#define _GNU_SOURCE
#include "net/tls_identity.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/ec_key.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/hash.h"

static enum dsmr_err fail(char *reason, enum dsmr_err err, const char *path, const char *what)
{
    snprintf(reason, DSMR_TLS_IDENTITY_REASON_BYTES, "TLS file %.160s %s", path, what);
    ERR_clear_error();
    return err;
}

static enum dsmr_err fail_errno(char *reason, const char *path, const char *verb, int number)
{
    char what[80];
    snprintf(what, sizeof(what), "cannot be %s: %s", verb, strerror(number));
    enum dsmr_err err = DSMR_ERR_IO;
    if (number == EEXIST)
        err = DSMR_ERR_DUPLICATE;
    else if (number == ENOSPC || number == EDQUOT)
        err = DSMR_ERR_DISK_FULL;
    return fail(reason, err, path, what);
}

enum dsmr_err dsmr_tls_identity_of(struct dsmr_node_id *node_id, X509 *certificate)
{
    unsigned char *der = NULL;
    int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
    if (len <= 0) {
        ERR_clear_error();
        return DSMR_ERR_INVALID_KEY;
    }
    struct dsmr_id hash;
    dsmr_hash(&hash, der, (size_t)len);
    memcpy(node_id->bytes, hash.bytes, sizeof(node_id->bytes));
    OPENSSL_free(der);
    return DSMR_OK;
}

/* A certificate that says nothing but the key: any name, valid from 1970 without a known end
 * (RFC 5280, 4.1.2.5). */
static X509 *self_sign(EVP_PKEY *key)
{
    X509 *certificate = X509_new();
    if (certificate == NULL)
        return NULL;
    uint8_t serial[8];
    X509_NAME *name = X509_get_subject_name(certificate);
    bool is_made = RAND_bytes(serial, sizeof(serial)) == 1;
    serial[0] &= 0x7f; /* positive */
    BIGNUM *number = is_made ? BN_bin2bn(serial, sizeof(serial), NULL) : NULL;
    is_made = number != NULL &&
              BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != NULL &&
              X509_set_version(certificate, X509_VERSION_3) == 1 &&
              X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"dsmr",
                                         -1, -1, 0) == 1 &&
              X509_set_issuer_name(certificate, name) == 1 &&
              ASN1_TIME_set_string_X509(X509_getm_notBefore(certificate), "19700101000000Z") &&
              ASN1_TIME_set_string_X509(X509_getm_notAfter(certificate), "99991231235959Z") &&
              X509_set_pubkey(certificate, key) == 1 && X509_sign(certificate, key, NULL) > 0;
    BN_free(number);
    if (!is_made) {
        X509_free(certificate);
        return NULL;
    }
    return certificate;
}

/* A new file to write to; NULL with errno set. */
static FILE *make_file(const char *path, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0)
        return NULL;
    FILE *file = fdopen(fd, "w");
    if (file == NULL)
        close(fd);
    return file;
}

/* Flushes, syncs and closes; what did not come out whole is removed again. */
static enum dsmr_err finish_file(FILE *file, bool is_written, char *reason, const char *path)
{
    errno = EIO;
    bool is_whole = is_written && fflush(file) == 0 && fsync(fileno(file)) == 0;
    int number = errno;
    if (fclose(file) != 0 && is_whole) {
        is_whole = false;
        number = errno;
    }
    if (is_whole)
        return DSMR_OK;
    unlink(path);
    return fail_errno(reason, path, "written", number);
}

static enum dsmr_err write_files(char *reason, const struct dsmr_tls_identity *identity,
                                 const char *key_path, const char *certificate_path)
{
    FILE *file = make_file(key_path, S_IRUSR | S_IWUSR);
    if (file == NULL)
        return fail_errno(reason, key_path, "made", errno);
    bool is_written =
        PEM_write_PKCS8PrivateKey(file, identity->key, NULL, NULL, 0, NULL, NULL) == 1;
    enum dsmr_err err = finish_file(file, is_written, reason, key_path);
    if (err != DSMR_OK)
        return err;
    file = make_file(certificate_path, S_IRUSR | S_IWUSR | S_IRGRP | S_IROTH);
    if (file == NULL) {
        err = fail_errno(reason, certificate_path, "made", errno);
    } else {
        is_written = PEM_write_X509(file, identity->certificate) == 1;
        err = finish_file(file, is_written, reason, certificate_path);
    }
    if (err != DSMR_OK)
        unlink(key_path); /* both or none */
    return err;
}

/* NULL: no memory, or no random numbers. */
static EVP_PKEY *make_key(void)
{
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_id(EVP_PKEY_ED25519, NULL);
    if (ctx != NULL && EVP_PKEY_keygen_init(ctx) == 1)
        (void)EVP_PKEY_keygen(ctx, &key); /* sets it only if it succeeds */
    EVP_PKEY_CTX_free(ctx);
    return key;
}

enum dsmr_err dsmr_tls_identity_generate(struct dsmr_node_id *node_id,
                                         char reason[DSMR_TLS_IDENTITY_REASON_BYTES],
                                         const char *key_path, const char *certificate_path)
{
    enum dsmr_err err = DSMR_ERR_NO_MEMORY;
    struct dsmr_tls_identity made = {.key = make_key()};
    if (made.key != NULL)
        made.certificate = self_sign(made.key);
    if (made.certificate == NULL ||
        dsmr_tls_identity_of(&made.node_id, made.certificate) != DSMR_OK)
        fail(reason, err, key_path, "cannot be made: no key comes out");
    else
        err = write_files(reason, &made, key_path, certificate_path);
    if (err == DSMR_OK)
        *node_id = made.node_id;
    X509_free(made.certificate);
    EVP_PKEY_free(made.key);
    return err;
}

static enum dsmr_err open_file(FILE **out, char *reason, const char *path, bool is_secret)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return fail_errno(reason, path, "opened", errno);
    struct stat st;
    enum dsmr_err err = DSMR_OK;
    if (fstat(fd, &st) != 0)
        err = fail_errno(reason, path, "read", errno);
    else if (!S_ISREG(st.st_mode))
        err = fail(reason, DSMR_ERR_CONFIG, path, "is not a plain file");
    else if (is_secret && st.st_uid != geteuid())
        err = fail(reason, DSMR_ERR_CONFIG, path, "belongs to another user");
    else if (is_secret && (st.st_mode & (S_IRWXG | S_IRWXO)) != 0)
        err = fail(reason, DSMR_ERR_CONFIG, path,
                   "may be read or written by others; run: chmod 600 on it");
    FILE *file = err == DSMR_OK ? fdopen(fd, "r") : NULL;
    if (file == NULL) {
        close(fd);
        return err != DSMR_OK ? err : fail(reason, DSMR_ERR_NO_MEMORY, path, "cannot be opened");
    }
    *out = file;
    return DSMR_OK;
}

/* Never asks anybody for a pass phrase on the terminal. */
static int no_pass_phrase(char *buf, int size, int is_writing, void *ctx)
{
    (void)buf, (void)size, (void)is_writing, (void)ctx;
    return -1;
}

static bool is_supported(const EVP_PKEY *key)
{
    if (EVP_PKEY_id(key) == EVP_PKEY_ED25519)
        return true;
    const EC_KEY *ec = EVP_PKEY_id(key) == EVP_PKEY_EC ? EVP_PKEY_get0_EC_KEY(key) : NULL;
    return ec != NULL && EC_GROUP_get_curve_name(EC_KEY_get0_group(ec)) == NID_X9_62_prime256v1;
}

static enum dsmr_err read_files(struct dsmr_tls_identity *identity, char *reason,
                                const char *key_path, const char *certificate_path)
{
    FILE *file = NULL;
    enum dsmr_err err = open_file(&file, reason, key_path, true);
    if (err != DSMR_OK)
        return err;
    identity->key = PEM_read_PrivateKey(file, NULL, no_pass_phrase, NULL);
    fclose(file);
    if (identity->key == NULL)
        return fail(reason, DSMR_ERR_CONFIG, key_path, "does not hold a private key in PEM");
    if (!is_supported(identity->key))
        return fail(reason, DSMR_ERR_CONFIG, key_path, "holds a key that is not Ed25519 or P-256");
    err = open_file(&file, reason, certificate_path, false);
    if (err != DSMR_OK)
        return err;
    identity->certificate = PEM_read_X509(file, NULL, no_pass_phrase, NULL);
    fclose(file);
    if (identity->certificate == NULL)
        return fail(reason, DSMR_ERR_CONFIG, certificate_path,
                    "does not hold a certificate in PEM");
    if (X509_check_private_key(identity->certificate, identity->key) != 1)
        return fail(reason, DSMR_ERR_CONFIG, certificate_path,
                    "holds a certificate of another key than the key file");
    if ((X509_get_key_usage(identity->certificate) & X509v3_KU_DIGITAL_SIGNATURE) == 0)
        return fail(reason, DSMR_ERR_CONFIG, certificate_path,
                    "holds a certificate whose key usage leaves out signatures: peers refuse it");
    if (dsmr_tls_identity_of(&identity->node_id, identity->certificate) != DSMR_OK)
        return fail(reason, DSMR_ERR_CONFIG, certificate_path, "holds no usable public key");
    return DSMR_OK;
}

enum dsmr_err dsmr_tls_identity_open(struct dsmr_tls_identity **out,
                                     char reason[DSMR_TLS_IDENTITY_REASON_BYTES],
                                     const char *key_path, const char *certificate_path)
{
    struct dsmr_tls_identity *identity = calloc(1, sizeof(*identity));
    if (identity == NULL)
        return fail(reason, DSMR_ERR_NO_MEMORY, key_path, "cannot be read: out of memory");
    enum dsmr_err err = read_files(identity, reason, key_path, certificate_path);
    if (err != DSMR_OK) {
        dsmr_tls_identity_free(identity);
        return err;
    }
    *out = identity;
    return DSMR_OK;
}

void dsmr_tls_identity_free(struct dsmr_tls_identity *identity)
{
    if (identity == NULL)
        return;
    X509_free(identity->certificate);
    EVP_PKEY_free(identity->key);
    free(identity);
}

enum dsmr_err dsmr_tls_identity_public(uint8_t out[32], const struct dsmr_tls_identity *identity)
{
    size_t len = 32;
    if (EVP_PKEY_id(identity->key) != EVP_PKEY_ED25519 ||
        EVP_PKEY_get_raw_public_key(identity->key, out, &len) != 1)
        return DSMR_ERR_INVALID_KEY;
    return DSMR_OK;
}

enum dsmr_err dsmr_tls_identity_sign(uint8_t out[64], const struct dsmr_tls_identity *identity,
                                     const void *message, size_t len)
{
    size_t sig_len = 64;
    if (EVP_PKEY_id(identity->key) != EVP_PKEY_ED25519)
        return DSMR_ERR_INVALID_KEY;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool is_signed = ctx != NULL && EVP_DigestSignInit(ctx, NULL, NULL, NULL, identity->key) == 1 &&
                     EVP_DigestSign(ctx, out, &sig_len, message, len) == 1;
    EVP_MD_CTX_free(ctx);
    return is_signed ? DSMR_OK : DSMR_ERR_NO_MEMORY;
}
