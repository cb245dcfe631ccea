# Installation: `make install PREFIX=/usr DESTDIR=...`. Nothing that is configuration of yours is overwritten or removed.
PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
SBINDIR ?= $(PREFIX)/sbin
MANDIR ?= $(PREFIX)/share/man
DOCDIR ?= $(PREFIX)/share/doc/postilion
LIBDIR ?= $(PREFIX)/lib
UNITDIR ?= $(LIBDIR)/systemd/system
SYSUSERSDIR ?= $(LIBDIR)/sysusers.d
TMPFILESDIR ?= $(LIBDIR)/tmpfiles.d
COMPLETIONDIR ?= $(PREFIX)/share/bash-completion/completions

MANUALS := man1/postilion.1 man1/postilion-queue.1 man5/postilion.conf.5
PAGES := CHANGELOG LOGGING METRICS OPERATING MIGRATING INNER-SERVER
EXAMPLES := prometheus-rules.yml grafana-dashboard.json
INSTALLED = $(SBINDIR)/postilion $(MANUALS:%=$(MANDIR)/%) $(UNITDIR)/postilion.service $(UNITDIR)/postilion.socket \
            $(SYSUSERSDIR)/postilion.conf $(TMPFILESDIR)/postilion.conf $(COMPLETIONDIR)/postilion \
            $(SYSCONFDIR)/postilion/postilion.conf.sample $(SYSCONFDIR)/fail2ban/filter.d/postilion.conf \
            $(DOCDIR)/README.md $(DOCDIR)/LICENSE $(PAGES:%=$(DOCDIR)/%.md) $(EXAMPLES:%=$(DOCDIR)/examples/%)

PUT = install -D -m 644
# The unit says where the program and its configuration are.
PUT_UNIT = sed -e 's|/usr/sbin/postilion|$(SBINDIR)/postilion|' -e 's|/etc/postilion/|$(SYSCONFDIR)/postilion/|g'

.PHONY: install
install: $(PROGRAM) ## install everything but a configuration: DESTDIR, PREFIX (/usr/local), SYSCONFDIR (/etc)
	install -D -m 755 $(PROGRAM) $(DESTDIR)$(SBINDIR)/postilion
	for page in $(MANUALS); do $(PUT) docs/$$page $(DESTDIR)$(MANDIR)/$$page || exit 1; done
	install -d $(DESTDIR)$(UNITDIR)
	$(PUT_UNIT) conf/postilion.service >$(DESTDIR)$(UNITDIR)/postilion.service
	$(PUT) conf/postilion.socket $(DESTDIR)$(UNITDIR)/postilion.socket
	$(PUT) conf/postilion.sysusers $(DESTDIR)$(SYSUSERSDIR)/postilion.conf
	$(PUT) conf/postilion.tmpfiles $(DESTDIR)$(TMPFILESDIR)/postilion.conf
	$(PUT) conf/postilion.bash-completion $(DESTDIR)$(COMPLETIONDIR)/postilion
	$(PUT) conf/postilion.conf $(DESTDIR)$(SYSCONFDIR)/postilion/postilion.conf.sample
	$(PUT) conf/postilion.fail2ban $(DESTDIR)$(SYSCONFDIR)/fail2ban/filter.d/postilion.conf
	$(PUT) README.md $(DESTDIR)$(DOCDIR)/README.md
	$(PUT) LICENSE $(DESTDIR)$(DOCDIR)/LICENSE
	for page in $(PAGES); do $(PUT) docs/$$page.md $(DESTDIR)$(DOCDIR)/$$page.md || exit 1; done
	for file in $(EXAMPLES); do $(PUT) conf/$$file $(DESTDIR)$(DOCDIR)/examples/$$file || exit 1; done
	@$(if $(DESTDIR),:,echo "Next: $(DOCDIR)/OPERATING.md")

.PHONY: uninstall
uninstall: ## remove what `make install` put there; configuration, spool and account stay
	rm -f $(INSTALLED:%=$(DESTDIR)%)
	-rmdir $(DESTDIR)$(DOCDIR)/examples $(DESTDIR)$(DOCDIR) $(DESTDIR)$(SYSCONFDIR)/postilion 2>/dev/null
