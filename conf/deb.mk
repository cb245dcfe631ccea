# The Debian package: what `make install` lays out, in Debian's places, with conf/debian around it.
DEB_VERSION = $(shell sed -nE 's/^.define POSTILION_VERSION "(.*)"/\1/p' include/daemon/version_command.h)-1
DEB_ARCHITECTURE = $(shell dpkg --print-architecture)
DEB_ROOT = $(BUILD)/deb/root
DEB_DOC = $(DEB_ROOT)/usr/share/doc/postilion
DEB = $(BUILD)/postilion_$(DEB_VERSION)_$(DEB_ARCHITECTURE).deb
DEBFULLNAME ?= postilion maintainers
DEBEMAIL ?= postmaster@localhost
DEB_FILL = sed -e 's/@VERSION@/$(DEB_VERSION)/' -e 's/@ARCHITECTURE@/$(DEB_ARCHITECTURE)/' \
    -e 's/@MAINTAINER@/$(DEBFULLNAME) <$(DEBEMAIL)>/'

.PHONY: deb
deb: deps-build $(PROGRAM) ## build build/postilion_VERSION_ARCHITECTURE.deb
	@tests/support/install_packages package
	@rm -rf $(BUILD)/deb
	@$(MAKE) --no-print-directory -s install DESTDIR=$(DEB_ROOT) PREFIX=/usr UNITDIR=/lib/systemd/system
	@strip --strip-unneeded --remove-section=.comment --remove-section=.note $(DEB_ROOT)/usr/sbin/postilion
	@mkdir -p $(DEB_DOC)/examples $(DEB_ROOT)/DEBIAN $(BUILD)/deb/debian
	@mv $(DEB_ROOT)/etc/postilion/postilion.conf.sample $(DEB_DOC)/examples/postilion.conf
	@mv $(DEB_DOC)/CHANGELOG.md $(DEB_DOC)/changelog
	@$(DEB_FILL) conf/debian/changelog >$(DEB_DOC)/changelog.Debian
	@gzip -9n $(DEB_DOC)/changelog $(DEB_DOC)/changelog.Debian $(DEB_ROOT)/usr/share/man/man?/*
	@rm $(DEB_DOC)/LICENSE
	@{ sed '/@LICENSE@/d' conf/debian/copyright; sed -e 's/^$$/./' -e 's/^/ /' LICENSE; } >$(DEB_DOC)/copyright
	@install -D -m 644 conf/debian/lintian-overrides $(DEB_ROOT)/usr/share/lintian/overrides/postilion
	@echo /etc/fail2ban/filter.d/postilion.conf >$(DEB_ROOT)/DEBIAN/conffiles
	@printf 'Source: postilion\n\nPackage: postilion\nArchitecture: any\n' >$(BUILD)/deb/debian/control
	@cd $(BUILD)/deb && dpkg-shlibdeps -O -eroot/usr/sbin/postilion >depends
	@$(DEB_FILL) -e "s/@DEPENDS@/$$(sed -n 's/^shlibs:Depends=//p' $(BUILD)/deb/depends)/" \
	    -e "s/@SIZE@/$$(du -sk $(DEB_ROOT) | cut -f1)/" conf/debian/control >$(DEB_ROOT)/DEBIAN/control
	@install -m 755 conf/debian/postinst conf/debian/prerm conf/debian/postrm $(DEB_ROOT)/DEBIAN
	@cd $(DEB_ROOT) && find usr lib etc -type f | sort | xargs md5sum >DEBIAN/md5sums
	@chmod -R u+rwX,go+rX,go-w $(DEB_ROOT)
	@dpkg-deb --root-owner-group --build $(DEB_ROOT) $(DEB)

.PHONY: lintian
lintian: deb ## what lintian says of the package
	@lintian --fail-on error,warning $(DEB)

.PHONY: deb-test
deb-test: deps peers lintian ## install the package into a clean Debian and forward a message there (root, network)
	@POSTILION_BUILD=$(BUILD) POSTILION_PEERS=$(PEERS) $(PYTHON) tests/support/deb_test.py $(DEB)
