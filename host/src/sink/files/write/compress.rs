//! Compresses a file while it is written, and decompresses it when it is read back. Equal data gives equal bytes.

use std::fs::File;
use std::io::{self, Read, Write};

use flate2::GzBuilder;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};

use crate::hash::hex;
use crate::settings::data_file::Compression;

/// The default of `gzip` and zlib.
const GZIP_LEVEL: u32 = 6;
/// The default of `zstd`.
const ZSTD_LEVEL: i32 = 3;
/// What a compressor is given at once. Always as much: how a text is cut must not show in what becomes of it.
const BLOCK_BYTES: usize = if cfg!(test) { 48 } else { 128 * 1024 };

/// A file, with the checksum of all that was written to it.
pub struct Hashed {
    file: File,
    hash: Sha256,
    bytes: u64,
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_all(bytes)?;
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Hashed {
    fn new(file: File) -> Self {
        Self {
            file,
            hash: Sha256::new(),
            bytes: 0,
        }
    }

    /// The file, its size and its sha256 in hex.
    pub fn finish(self) -> (File, u64, String) {
        (self.file, self.bytes, hex(&self.hash.finalize()))
    }
}

/// What is on the way to a file.
pub enum Stream {
    /// It goes there as it is.
    Plain(Hashed),
    /// It is compressed, block by block.
    Compressed(Encoder, Vec<u8>),
}

pub enum Encoder {
    /// One member without a name or a time.
    Gzip(Box<GzEncoder<Hashed>>),
    /// One frame with a checksum.
    Zstd(zstd::Encoder<'static, Hashed>),
}

impl Stream {
    /// Writes to `file`, which is empty.
    pub fn new(file: File, compression: Compression) -> io::Result<Self> {
        let file = Hashed::new(file);
        let encoder = match compression {
            Compression::None => return Ok(Self::Plain(file)),
            Compression::Gzip => {
                let level = flate2::Compression::new(GZIP_LEVEL);
                // Without a time: 0 stands for none. 255: a system that is not said.
                let builder = GzBuilder::new().mtime(0).operating_system(255);
                Encoder::Gzip(Box::new(builder.write(file, level)))
            }
            Compression::Zstd => {
                let mut encoder = zstd::Encoder::new(file, ZSTD_LEVEL)?;
                encoder.include_checksum(true)?;
                Encoder::Zstd(encoder)
            }
        };
        Ok(Self::Compressed(encoder, Vec::with_capacity(BLOCK_BYTES)))
    }

    /// Takes these bytes.
    pub fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(file) => file.write_all(bytes),
            Self::Compressed(encoder, block) => {
                while block.len() + bytes.len() >= BLOCK_BYTES {
                    let (fits, more) = bytes.split_at(BLOCK_BYTES - block.len());
                    block.extend_from_slice(fits);
                    encoder.write_all(block)?;
                    block.clear();
                    bytes = more;
                }
                block.extend_from_slice(bytes);
                Ok(())
            }
        }
    }

    pub fn finish(self) -> io::Result<Hashed> {
        match self {
            Self::Plain(file) => Ok(file),
            Self::Compressed(mut encoder, block) => {
                encoder.write_all(&block)?;
                match encoder {
                    Encoder::Gzip(encoder) => encoder.finish(),
                    Encoder::Zstd(encoder) => encoder.finish(),
                }
            }
        }
    }
}

impl Encoder {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Gzip(encoder) => encoder.write_all(bytes),
            Self::Zstd(encoder) => encoder.write_all(bytes),
        }
    }
}

/// What `file` holds, read from where it stands; none when it is not compressed.
///
/// Memory is bounded by the windows: 32 KiB, and 2 MiB. The checksum is to be checked before this is trusted.
pub fn decoded(file: &File, compression: Compression) -> io::Result<Option<Box<dyn Read + '_>>> {
    Ok(match compression {
        Compression::None => None,
        Compression::Gzip => Some(Box::new(GzDecoder::new(file))),
        Compression::Zstd => Some(Box::new(zstd::Decoder::new(file)?)),
    })
}

#[cfg(test)]
mod tests {
    use std::io::Seek as _;

    use proptest::prelude::*;

    use super::*;

    fn compressed(pieces: &[Vec<u8>], compression: Compression) -> (File, String) {
        let mut stream = Stream::new(tempfile::tempfile().unwrap(), compression).unwrap();
        for piece in pieces {
            stream.write(piece).unwrap();
        }
        let (mut file, bytes, sha256) = stream.finish().unwrap().finish();
        assert_eq!(file.stream_position().unwrap(), bytes);
        file.rewind().unwrap();
        (file, sha256)
    }

    #[test]
    fn a_gzip_file_names_no_file_no_time_and_no_system() {
        let (mut file, _) = compressed(&[b"x".to_vec()], Compression::Gzip);

        let mut head = [0; 10];
        file.read_exact(&mut head).unwrap();

        assert_eq!(head, [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
    }

    proptest! {
        #[test]
        fn however_a_text_is_cut_its_file_is_the_same_and_read_back_it_is_the_text(
            pieces in prop::collection::vec(prop::collection::vec(97_u8..101, 0..120), 0..30),
        ) {
            let text = pieces.concat();
            for compression in [Compression::Gzip, Compression::Zstd] {
                let (file, sha256) = compressed(&pieces, compression);
                let (_, of_one) = compressed(std::slice::from_ref(&text), compression);
                let mut read = Vec::new();
                decoded(&file, compression).unwrap().unwrap().read_to_end(&mut read).unwrap();

                prop_assert_eq!(&read, &text);
                prop_assert_eq!(sha256, of_one);
            }
        }
    }
}
