//! Reads an ELF file: what the loader would see, and what lies at an address. Nothing is run.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io;
use std::ops::Deref;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use memmap2::Mmap;
use object::Endianness;
use object::elf::{self, FileHeader64, ProgramHeader64, SectionHeader64};
use object::read::StringTable;
use object::read::elf::{Dyn, FileHeader, ProgramHeader, Rela, SectionHeader, SectionTable, Sym};

/// A file's content.
pub struct Image(Option<Mmap>);

impl Image {
    pub fn open(path: &Path) -> io::Result<Self> {
        // Another's process may have put a pipe in the file's place: it is not waited for.
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
            .open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        if metadata.len() == 0 {
            return Ok(Self(None));
        }
        // SAFETY: the map is private and only read. A file that another process cuts short
        // meanwhile would end this one with SIGBUS; installed programs are replaced, not cut.
        let map = unsafe { Mmap::map(&file) }?;
        Ok(Self(Some(map)))
    }
}

impl Deref for Image {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.0.as_deref().unwrap_or_default()
    }
}

/// What the first bytes of a file say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ident {
    pub is_32_bit: bool,
    pub machine: u16,
}

impl Ident {
    /// `None` for what is no ELF file.
    pub fn of(content: &[u8]) -> Option<Self> {
        if content.len() < 20 || !content.starts_with(&elf::ELFMAG) {
            return None;
        }
        let bytes = [content[18], content[19]];
        Some(Self {
            is_32_bit: content[4] == elf::ELFCLASS32,
            machine: match content[5] {
                elf::ELFDATA2MSB => u16::from_be_bytes(bytes),
                _ => u16::from_le_bytes(bytes),
            },
        })
    }

    /// The machine that this program, and with it our library, was built for.
    pub const OWN_MACHINE: u16 = match cfg!(target_arch = "aarch64") {
        true => elf::EM_AARCH64,
        false => elf::EM_X86_64,
    };

    pub fn is_own(self) -> bool {
        !self.is_32_bit && self.machine == Self::OWN_MACHINE
    }

    pub fn machine_name(self) -> String {
        match self.machine {
            elf::EM_386 => "x86 (i386)".to_owned(),
            elf::EM_X86_64 => "x86-64".to_owned(),
            elf::EM_ARM => "ARM".to_owned(),
            elf::EM_AARCH64 => "aarch64".to_owned(),
            elf::EM_PPC64 => "POWER".to_owned(),
            elf::EM_S390 => "s390x".to_owned(),
            elf::EM_RISCV => "RISC-V".to_owned(),
            other => format!("machine {other}"),
        }
    }
}

/// What `PT_DYNAMIC` tells the loader.
#[derive(Debug, Default)]
pub struct Dynamic {
    pub needed: Vec<String>,
    pub soname: Option<String>,
    /// `DT_RPATH`, which comes before `LD_LIBRARY_PATH`.
    pub rpath: Option<String>,
    /// `DT_RUNPATH`, which comes after it.
    pub runpath: Option<String>,
    /// The object looks its own symbols up in itself first.
    pub symbolic: bool,
    /// A position-independent executable, not a library.
    pub is_executable: bool,
    /// It names audit libraries, which the loader opens and runs before anything else.
    pub has_audit: bool,
}

/// Where a symbol is defined, or that it is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Symbol {
    Defined(u64),
    Wanted,
}

/// A 64-bit ELF file of this machine.
pub struct Elf<'data> {
    content: &'data [u8],
    endian: Endianness,
    header: &'data FileHeader64<Endianness>,
    segments: &'data [ProgramHeader64<Endianness>],
    sections: SectionTable<'data, FileHeader64<Endianness>>,
    pub interpreter: Option<String>,
    pub dynamic: Option<Dynamic>,
}

impl<'data> Elf<'data> {
    pub fn parse(content: &'data [u8]) -> Result<Self, object::Error> {
        let header = FileHeader64::<Endianness>::parse(content)?;
        let endian = header.endian()?;
        let segments = header.program_headers(endian, content)?;
        let mut elf = Self {
            content,
            endian,
            header,
            segments,
            // A file may be stripped of its sections; the loader does not need them.
            sections: header.sections(endian, content).unwrap_or_default(),
            interpreter: None,
            dynamic: None,
        };
        for segment in segments {
            if let Ok(Some(name)) = segment.interpreter(endian, content) {
                elf.interpreter = Some(String::from_utf8_lossy(name).into_owned());
            }
        }
        elf.dynamic = elf.read_dynamic();
        Ok(elf)
    }

    pub fn content(&self) -> &'data [u8] {
        self.content
    }

    /// Whether this is a program to be started, not a library. A static position-independent
    /// executable looks like a library but for a flag.
    pub fn is_executable(&self) -> bool {
        let is_dynamic_executable = self.dynamic.as_ref().is_some_and(|d| d.is_executable);
        self.header.e_type(self.endian) == elf::ET_EXEC
            || self.interpreter.is_some()
            || is_dynamic_executable
    }

    fn read_dynamic(&self) -> Option<Dynamic> {
        let entries = self
            .segments
            .iter()
            .find_map(|segment| segment.dynamic(self.endian, self.content).ok().flatten())?;
        let value = |tag: u32| {
            let mut found = entries.iter().filter(|entry| is(entry, tag, self.endian));
            found.next().map(|entry| entry.d_val(self.endian))
        };
        let strings = self.dynamic_strings(value(elf::DT_STRTAB)?, value(elf::DT_STRSZ)?);
        let text = |tag: u32| {
            let offset = u32::try_from(value(tag)?).ok()?;
            let text = strings.get(offset).ok()?;
            Some(String::from_utf8_lossy(text).into_owned())
        };
        let flags = value(elf::DT_FLAGS).unwrap_or(0);
        let flags_1 = value(elf::DT_FLAGS_1).unwrap_or(0);
        let needed = entries
            .iter()
            .filter(|entry| is(entry, elf::DT_NEEDED, self.endian));
        Some(Dynamic {
            needed: needed
                .filter_map(|entry| entry.string(self.endian, strings).ok())
                .map(|name| String::from_utf8_lossy(name).into_owned())
                .collect(),
            soname: text(elf::DT_SONAME),
            rpath: text(elf::DT_RPATH),
            runpath: text(elf::DT_RUNPATH),
            symbolic: value(elf::DT_SYMBOLIC).is_some() || flags & u64::from(elf::DF_SYMBOLIC) != 0,
            is_executable: flags_1 & u64::from(elf::DF_1_PIE) != 0,
            has_audit: value(elf::DT_AUDIT).or(value(elf::DT_DEPAUDIT)).is_some(),
        })
    }

    fn dynamic_strings(&self, address: u64, size: u64) -> StringTable<'data> {
        match self.offset_of(address) {
            Some(start) => StringTable::new(self.content, start, start.saturating_add(size)),
            None => StringTable::default(),
        }
    }

    /// Where in the file lies what will be at an address.
    pub fn offset_of(&self, address: u64) -> Option<u64> {
        self.segments.iter().find_map(|segment| {
            if segment.p_type(self.endian) != elf::PT_LOAD {
                return None;
            }
            let within = address.checked_sub(segment.p_vaddr(self.endian))?;
            (within < segment.p_filesz(self.endian))
                .then(|| segment.p_offset(self.endian).checked_add(within))?
        })
    }

    /// The address of what lies at an offset of the file.
    pub fn address_of(&self, offset: u64) -> Option<u64> {
        self.segments.iter().find_map(|segment| {
            if segment.p_type(self.endian) != elf::PT_LOAD {
                return None;
            }
            let within = offset.checked_sub(segment.p_offset(self.endian))?;
            (within < segment.p_filesz(self.endian))
                .then(|| segment.p_vaddr(self.endian).checked_add(within))?
        })
    }

    /// What the file holds for an address, up to `length` bytes.
    pub fn bytes_at(&self, address: u64, length: usize) -> Option<&'data [u8]> {
        let start = usize::try_from(self.offset_of(address)?).ok()?;
        let rest = self.content.get(start..)?;
        Some(&rest[..length.min(rest.len())])
    }

    pub fn word_at(&self, address: u64) -> Option<u64> {
        let bytes: [u8; 8] = self.bytes_at(address, 8)?.try_into().ok()?;
        Some(match self.endian {
            Endianness::Little => u64::from_le_bytes(bytes),
            Endianness::Big => u64::from_be_bytes(bytes),
        })
    }

    /// A NUL-terminated text.
    pub fn text_at(&self, address: u64, longest: usize) -> Option<&'data str> {
        let bytes = self.bytes_at(address, longest)?;
        let end = memchr::memchr(0, bytes)?;
        std::str::from_utf8(&bytes[..end]).ok()
    }

    /// Looks symbols up: in the table that the loader uses, or in the one for people.
    pub fn symbols<const N: usize>(
        &self,
        table: SymbolTable,
        names: [&'static str; N],
    ) -> [Option<Symbol>; N] {
        let mut found = [None; N];
        let Ok(symbols) = self
            .sections
            .symbols(self.endian, self.content, table.kind())
        else {
            return found;
        };
        for symbol in symbols.iter() {
            let Ok(name) = symbol.name(self.endian, symbols.strings()) else {
                continue;
            };
            if let Some(at) = names.iter().position(|wanted| wanted.as_bytes() == name) {
                found[at] = Some(match symbol.is_undefined(self.endian) {
                    true => Symbol::Wanted,
                    false => Symbol::Defined(symbol.st_value(self.endian)),
                });
            }
        }
        found
    }

    /// Whether the object reaches a symbol that it defines itself through the loader, so that a
    /// library before it can take its place.
    pub fn reaches_through_the_loader(&self, name: &str) -> bool {
        let Ok(symbols) = self
            .sections
            .symbols(self.endian, self.content, elf::SHT_DYNSYM)
        else {
            return false;
        };
        let is_it = |index: u32| {
            let symbol = symbols.symbols().get(index as usize);
            symbol.and_then(|symbol| symbol.name(self.endian, symbols.strings()).ok())
                == Some(name.as_bytes())
        };
        self.relocations()
            .any(|rela| is_it(rela.r_sym(self.endian, false)))
    }

    /// The pointers that the loader would fill in relative to the object's own base: the address
    /// of each and the address that it points to.
    pub fn relative_pointers(&self) -> HashMap<u64, u64> {
        let relative = match self.header.e_machine(self.endian) {
            elf::EM_AARCH64 => elf::R_AARCH64_RELATIVE,
            _ => elf::R_X86_64_RELATIVE,
        };
        self.relocations()
            .filter(|rela| rela.r_type(self.endian, false) == relative)
            .map(|rela| {
                let target = rela.r_addend(self.endian).cast_unsigned();
                (rela.r_offset(self.endian), target)
            })
            .collect()
    }

    fn relocations(&self) -> impl Iterator<Item = &'data elf::Rela64<Endianness>> {
        self.sections
            .iter()
            .filter_map(|section| section.rela(self.endian, self.content).ok().flatten())
            .flat_map(|(relocations, _)| relocations)
    }

    pub fn section(&self, name: &str) -> Option<&'data [u8]> {
        let (_, section) = self
            .sections
            .section_by_name(self.endian, name.as_bytes())?;
        section.data(self.endian, self.content).ok()
    }

    /// The addresses and contents of data that the program may write at its start, where tables of
    /// pointers are.
    pub fn tables(&self) -> impl Iterator<Item = (u64, &'data [u8])> {
        self.sections
            .iter()
            .filter_map(|section: &SectionHeader64<_>| {
                let data = section.sh_type(self.endian) == elf::SHT_PROGBITS
                    && section.sh_flags(self.endian) & u64::from(elf::SHF_ALLOC) != 0
                    && section.sh_flags(self.endian) & u64::from(elf::SHF_EXECINSTR) == 0;
                let content = section.data(self.endian, self.content).ok()?;
                data.then(|| (section.sh_addr(self.endian), content))
            })
    }
}

/// The two tables of symbols.
#[derive(Clone, Copy)]
pub enum SymbolTable {
    /// What the loader binds.
    Dynamic,
    /// What a debugger reads; often stripped.
    Full,
}

impl SymbolTable {
    fn kind(self) -> u32 {
        match self {
            Self::Dynamic => elf::SHT_DYNSYM,
            Self::Full => elf::SHT_SYMTAB,
        }
    }
}

fn is(entry: &elf::Dyn64<Endianness>, tag: u32, endian: Endianness) -> bool {
    entry.tag32(endian) == Some(tag)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CString;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn a_pipe_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let name = CString::new(pipe.as_os_str().as_bytes()).unwrap();
        // SAFETY: a C string.
        assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
        assert!(Image::open(&pipe).is_err());
    }
}
