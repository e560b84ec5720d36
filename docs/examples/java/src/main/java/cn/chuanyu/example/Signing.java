package cn.chuanyu.example;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;
import java.util.HexFormat;
import org.bouncycastle.crypto.CryptoException;
import org.bouncycastle.crypto.Signer;
import org.bouncycastle.crypto.digests.SM3Digest;
import org.bouncycastle.crypto.params.AsymmetricKeyParameter;
import org.bouncycastle.crypto.params.Ed25519PrivateKeyParameters;
import org.bouncycastle.crypto.signers.Ed25519Signer;
import org.bouncycastle.crypto.signers.PlainDSAEncoding;
import org.bouncycastle.crypto.signers.SM2Signer;
import org.bouncycastle.crypto.util.PrivateKeyFactory;

/** Signs events with SM2 and SM3 (GB/T 32918.2, default user ID) or Ed25519, whichever the key is of (docs/signing.md). */
final class Signing {
    private final AsymmetricKeyParameter key;
    private final boolean isEdwards;

    /** The key in this file: PKCS #8 in PEM. */
    Signing(Path file) throws IOException {
        String encoded = Files.readString(file).replaceAll("-----[^-]+-----", "").replaceAll("\\s", "");
        key = PrivateKeyFactory.createKey(Base64.getDecoder().decode(encoded));
        isEdwards = key instanceof Ed25519PrivateKeyParameters;
    }

    /** The attribute {@code signature}: 64 bytes in hexadecimal. */
    String sign(String id, String source, String time, byte[] data) throws CryptoException {
        // r and s one after the other, not in DER.
        Signer signer = isEdwards ? new Ed25519Signer() : new SM2Signer(PlainDSAEncoding.INSTANCE, new SM3Digest());
        signer.init(true, key);
        byte[] message = netstrings(utf8(id), utf8(source), utf8(time), data);
        signer.update(message, 0, message.length);
        return HexFormat.of().formatHex(signer.generateSignature());
    }

    private static byte[] utf8(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static byte[] netstrings(byte[]... parts) {
        ByteArrayOutputStream joined = new ByteArrayOutputStream();
        for (byte[] part : parts) {
            joined.writeBytes(utf8(part.length + ":"));
            joined.writeBytes(part);
            joined.write(',');
        }
        return joined.toByteArray();
    }
}
