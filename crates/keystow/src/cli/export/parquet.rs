//! The facts of the CSV form as one Parquet file, Snappy-compressed.

use std::fs::File;
use std::io;
use std::sync::Arc;

use keystow_rdb::export::{for_each_key, written_key};
use keystow_rdb::inspect::memory_estimate;
use keystow_rdb::{Entry, Exported, Fault, Filter, Limits, Reason, slot};
use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType, DataType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;

use crate::cli::input::RdbBytes;

/// A key is text as in the CSV form: a backslash is `\\`, a byte that is not UTF-8 is `\xff`.
const SCHEMA: &str = "message keys {
    required int64 db (INTEGER(64, false));
    required binary key (STRING);
    required binary type (STRING);
    required binary encoding (STRING);
    required int64 elements (INTEGER(64, false));
    required int64 stored_bytes (INTEGER(64, false));
    required int64 memory_bytes (INTEGER(64, false));
    optional int64 expires_at_ms;
    optional int64 idle_seconds (INTEGER(64, false));
    optional int32 frequency (INTEGER(8, false));
    required int32 slot (INTEGER(16, false));
}";
/// Rows and bytes of keys that are held until they are written together.
const GROUP_ROWS: usize = 1 << 16;
const GROUP_KEY_BYTES: usize = 8 << 20;

/// Writes one row per key.
pub(super) fn write(bytes: &mut RdbBytes, filter: &Filter, out: File) -> Result<Exported, Fault> {
    let mut writer = open(out).map_err(|error| failed(&error.into()))?;
    let mut exported = Exported::default();
    let mut rows = Rows::default();
    for_each_key(bytes, Limits::default(), filter, |entry| {
        exported.keys += 1;
        rows.push(entry);
        if rows.is_full() { rows.write(&mut writer).map_err(to_io) } else { Ok(()) }
    })?;
    let finish = || -> Result<(), ParquetError> {
        rows.write(&mut writer)?;
        writer.close().map(drop)
    };
    finish().map_err(|error| failed(&to_io(error)))?;
    Ok(exported)
}

fn open(out: File) -> Result<SerializedFileWriter<File>, ParquetError> {
    let schema = Arc::new(parse_message_type(SCHEMA)?);
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    SerializedFileWriter::new(out, schema, Arc::new(properties))
}

/// The columns of the rows at hand, in the order of the schema.
#[derive(Default)]
struct Rows {
    databases: Vec<i64>,
    keys: Vec<ByteArray>,
    key_bytes: usize,
    kinds: Vec<ByteArray>,
    encodings: Vec<ByteArray>,
    elements: Vec<i64>,
    stored_bytes: Vec<i64>,
    memory_bytes: Vec<i64>,
    expiries: Optional<i64>,
    idle_seconds: Optional<i64>,
    frequencies: Optional<i32>,
    slots: Vec<i32>,
}

/// A column that may be empty in some rows: the values that there are, and for each row whether there is one.
#[derive(Default)]
struct Optional<T> {
    values: Vec<T>,
    levels: Vec<i16>,
}

impl<T> Optional<T> {
    fn push(&mut self, value: Option<T>) {
        self.levels.push(value.is_some().into());
        self.values.extend(value);
    }
}

impl Rows {
    fn push(&mut self, entry: &Entry<'_>) {
        let key = written_key(entry.key).into_bytes();
        self.key_bytes += key.len();
        self.databases.push(entry.database.cast_signed());
        self.keys.push(key.into());
        self.kinds.push(entry.kind.name().into());
        self.encodings.push(entry.encoding.name().unwrap_or_default().into());
        self.elements.push(entry.elements.cast_signed());
        self.stored_bytes.push(entry.stored_bytes.cast_signed());
        self.memory_bytes.push(memory_estimate(entry).cast_signed());
        self.expiries.push(entry.expires_ms);
        self.idle_seconds.push(entry.idle_seconds.map(u64::cast_signed));
        self.frequencies.push(entry.frequency.map(i32::from));
        self.slots.push(slot(entry.key).into());
    }

    fn is_full(&self) -> bool {
        self.keys.len() >= GROUP_ROWS || self.key_bytes >= GROUP_KEY_BYTES
    }

    /// Writes the rows as one group and forgets them.
    fn write(&mut self, writer: &mut SerializedFileWriter<File>) -> Result<(), ParquetError> {
        let rows = std::mem::take(self);
        if rows.keys.is_empty() {
            return Ok(());
        }
        let mut group = writer.next_row_group()?;
        column::<Int64Type>(&mut group, &rows.databases, None)?;
        column::<ByteArrayType>(&mut group, &rows.keys, None)?;
        column::<ByteArrayType>(&mut group, &rows.kinds, None)?;
        column::<ByteArrayType>(&mut group, &rows.encodings, None)?;
        column::<Int64Type>(&mut group, &rows.elements, None)?;
        column::<Int64Type>(&mut group, &rows.stored_bytes, None)?;
        column::<Int64Type>(&mut group, &rows.memory_bytes, None)?;
        column::<Int64Type>(&mut group, &rows.expiries.values, Some(&rows.expiries.levels))?;
        column::<Int64Type>(&mut group, &rows.idle_seconds.values, Some(&rows.idle_seconds.levels))?;
        column::<Int32Type>(&mut group, &rows.frequencies.values, Some(&rows.frequencies.levels))?;
        column::<Int32Type>(&mut group, &rows.slots, None)?;
        group.close().map(drop)
    }
}

fn column<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, File>,
    values: &[T::T],
    levels: Option<&[i16]>,
) -> Result<(), ParquetError> {
    let mut column =
        group.next_column()?.ok_or_else(|| ParquetError::General("the schema has fewer columns".into()))?;
    column.typed::<T>().write_batch(values, levels, None)?;
    column.close()
}

/// The file's own error, where that is what went wrong.
fn to_io(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(error) => match error.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(error) => io::Error::other(error),
        },
        error => io::Error::other(error),
    }
}

fn failed(error: &io::Error) -> Fault {
    Fault {
        offset: 0,
        key: None,
        reason: Reason::Output { kind: error.kind(), message: error.to_string().into() },
    }
}

#[cfg(test)]
mod tests {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::RowAccessor;

    use super::*;

    #[test]
    fn rows_are_read_again() {
        let file = tempfile::tempfile().unwrap();
        let mut writer = open(file.try_clone().unwrap()).unwrap();
        let small =
            b"REDIS0004\xfe\x00\xfc\x88\x13\0\0\0\0\0\0\x00\x03a:1\x01b\x01\x02\xff:\x02\x01c\x01d\xff";
        let mut rows = Rows::default();
        for_each_key(&small[..], Limits::default(), &Filter::default(), |entry| {
            rows.push(entry);
            Ok(())
        })
        .unwrap();
        rows.write(&mut writer).unwrap();
        writer.close().unwrap();
        let reader = SerializedFileReader::new(file).unwrap();
        let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(Result::unwrap).collect();
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0].get_string(1).unwrap(), "a:1");
        assert_eq!(rows[0].get_long(7).unwrap(), 5000);
        assert_eq!(rows[1].get_string(1).unwrap(), "\\xff:");
        assert_eq!(rows[1].get_string(2).unwrap(), "list");
        assert_eq!(rows[1].get_ulong(4).unwrap(), 2);
        assert!(rows[1].get_long(7).is_err(), "no expiry");
        assert_eq!(rows[1].get_ushort(10).unwrap(), slot(b"\xff:"));
    }
}
